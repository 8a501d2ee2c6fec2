// Circles: a gateway for calls of other clusters must not hand a call to the gateway of yet another.
package route

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// counting is the chain of a node that counts; it comes before what kube-proxy makes of addresses.
const counting = "MESHLATCH-OUT"

// passedOn says for each cluster how many connections its east-west gateway opened, since it was first
// asked, to what is neither a pod nor a Service of the cluster, nor whom its agent asks in which cloud it
// is. The kernel counts them: Envoy's own numbers are not kept for all of its clusters.
func (w *World) passedOn(ctx context.Context) (map[string]int, error) {
	opened := map[string]int{}
	for _, name := range topology.Keys(w.Clusters) {
		pods, err := w.selected(ctx, name, func(s *corev1.Service) bool { return w.crosses(name, s) })
		if err != nil {
			return nil, err
		}
		if len(pods) == 0 {
			continue
		}
		podRanges, serviceRanges := w.ranges(w.Topology.Clusters[name])
		for i := range podRanges {
			n, err := outward(ctx, name, pods, podRanges[i], serviceRanges[i])
			if err != nil {
				return nil, err
			}
			opened[name] += n
		}
	}
	return opened, nil
}

// outward is the count of one family of addresses.
func outward(ctx context.Context, name string, pods []*cluster.Pod, podRange, serviceRange netip.Prefix) (int, error) {
	tables, cloud := "iptables", "169.254.169.254"
	if podRange.Addr().Is6() {
		tables, cloud = "ip6tables", "fd00:ec2::254"
	}
	rules := fmt.Sprintf(`
		t="%[5]s -w -t mangle"
		if $t -N %[1]s 2>/dev/null; then
			$t -A %[1]s -d %[2]s -j RETURN
			$t -A %[1]s -d %[3]s -j RETURN
			$t -A %[1]s -d %[4]s -j RETURN
			$t -A %[1]s -m comment --comment out
			$t -A %[1]s -m recent --name %[1]s --rdest --set || true
		fi`, counting, podRange, serviceRange, cloud, tables)
	for _, it := range pods {
		for _, address := range it.Addresses() {
			if address.Is6() == podRange.Addr().Is6() {
				rules += fmt.Sprintf(`
		$t -C PREROUTING -s %[2]s -p tcp --syn -j %[1]s 2>/dev/null || $t -A PREROUTING -s %[2]s -p tcp --syn -j %[1]s`, counting, address)
			}
		}
	}
	rules += fmt.Sprintf(`
		$t -vnxL %s`, counting)
	out, err := exec.CommandContext(ctx, "ip", "netns", "exec", "node-"+name, "sh", "-euc", rules).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s on the node of %s: %w: %s", tables, name, err, out)
	}
	return counted(string(out))
}

// judgePassedOn says that no gateway opened a connection out of its cluster since it was looked at.
func (w *World) judgePassedOn(ctx context.Context, before map[string]int) {
	after, err := w.passedOn(ctx)
	if err != nil {
		w.Case.Judge("connections of gateways", err)
		return
	}
	for _, name := range topology.Keys(after) {
		if n := after[name] - before[name]; n > 0 {
			err = fmt.Errorf("it opened %d connections out of its cluster, of all to %s", n, strings.Join(destinations(ctx, name), ", "))
		}
		w.Case.Judge(fmt.Sprintf("the gateway of %s passed no call on to another cluster", name), err)
		err = nil
	}
}

// destinations are those of all connections that were counted, if this kernel keeps them.
func destinations(ctx context.Context, name string) []string {
	out, err := exec.CommandContext(ctx, "ip", "netns", "exec", "node-"+name, "cat", "/proc/net/xt_recent/"+counting).Output()
	if err != nil {
		return []string{"what this kernel does not tell"}
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		address, _, _ := strings.Cut(strings.TrimPrefix(line, "src="), " ")
		list = append(list, address)
	}
	return list
}

func counted(listing string) (int, error) {
	lines := bufio.NewScanner(strings.NewReader(listing))
	for lines.Scan() {
		if strings.Contains(lines.Text(), "/* out */") {
			return strconv.Atoi(strings.Fields(lines.Text())[0])
		}
	}
	return 0, fmt.Errorf("no counter in %s", listing)
}
