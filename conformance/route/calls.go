// Calls: made by the caller's program, judged by who answered and whom he saw.
package route

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// result is what the workload says of one call.
type result struct {
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	Status any    `json:"status"`
	Body   string `json:"body"`
	Answer struct {
		Cluster  string `json:"cluster"`
		Service  string `json:"service"`
		Pod      string `json:"pod"`
		Port     int    `json:"port"`
		Protocol string `json:"protocol"`
		Identity string `json:"identity"`
		Host     string `json:"host"`
	} `json:"answer"`
	Resolved     []string `json:"resolved"`
	Milliseconds int64    `json:"ms"`
}

// request is what a program is asked to call.
type request struct {
	protocol  string
	variable  string // that holds the address; else:
	address   string
	authority string
	path      string
	count     int
	keep      bool
	timeout   time.Duration

	serverName string // of TLS, if it is not the host
	alpn       string // that TLS offers
}

func (q request) arguments() []string {
	list := []string{"--protocol", q.protocol}
	if q.variable != "" {
		list = append(list, "--env", q.variable)
	} else {
		list = append(list, "--address", q.address)
	}
	if q.authority != "" {
		list = append(list, "--authority", q.authority)
	}
	if q.path != "" {
		list = append(list, "--path", q.path)
	}
	if q.serverName != "" {
		list = append(list, "--tls-name", q.serverName)
	}
	if q.alpn != "" {
		list = append(list, "--alpn", q.alpn)
	}
	if q.keep {
		list = append(list, "--keep")
	}
	if q.timeout != 0 {
		list = append(list, "--timeout", q.timeout.String())
	}
	return list
}

// make has a pod's application make calls.
func (q request) make(ctx context.Context, from *cluster.Pod) ([]result, error) {
	application, err := from.Application()
	if err != nil {
		return nil, err
	}
	arguments := append([]string{"workload", "call", "--count", strconv.Itoa(max(q.count, 1))}, q.arguments()...)
	out, err := from.Exec(ctx, application.Name, arguments...)
	if err != nil {
		return nil, err
	}
	return q.parse(out)
}

// parse reads what the workload says, a line for each call.
func (q request) parse(out string) ([]result, error) {
	var list []result
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		var one result
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("%w: %s", err, lines.Text())
		}
		list = append(list, one)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	// Of a call that nothing is said of, nothing is known: it must not pass for one that was refused.
	if want := max(q.count, 1); len(list) != want {
		return nil, fmt.Errorf("the workload told of %d calls, not of %d", len(list), want)
	}
	return list, nil
}

// call is a declared call, from one pod.
type call struct {
	from     *cluster.Pod
	cluster  string
	caller   *topology.Service
	callee   *topology.Service
	port     topology.Port
	protocol string
	request  request
}

func (c call) String() string {
	to := c.request.variable
	if to == "" {
		to = c.request.address
	}
	return fmt.Sprintf("%s in %s calls %s (%s)", c.caller.Key, c.cluster, to, c.protocol)
}

// calls are all declared calls between services, by whom and from where, each by every name that the
// caller is told.
func (w *World) calls() ([]call, error) {
	var list []call
	var missing []error
	for _, key := range topology.Keys(w.Topology.Services) {
		caller := w.Topology.Services[key]
		if len(caller.Calls) == 0 {
			continue
		}
		for _, name := range w.Topology.Hosted(caller) {
			pods := w.Clusters[name].Running(caller.Namespace, caller.Selector)
			if len(pods) == 0 {
				missing = append(missing, fmt.Errorf("%s has no pod in %s", key, name))
				continue
			}
			for _, it := range caller.Calls {
				callee := w.Topology.Services[it.Service]
				port, number, found := callee.PortOf(it.Port)
				if !found {
					missing = append(missing, fmt.Errorf("%s calls a port that %s has not", key, it.Service))
					continue
				}
				c := call{from: pods[0], cluster: name, caller: caller, callee: callee, port: number, protocol: topology.ProtocolOf(port, number)}
				// Pods that come from elsewhere have variables of which the topology knows the names only.
				var told []string
				if caller.HasWorkload {
					told = variables(it)
				}
				for _, variable := range told {
					c.request = request{protocol: protocolOf(c.protocol), variable: variable}
					list = append(list, c)
				}
				if len(told) == 0 {
					host := w.Topology.Host(callee, name)
					c.request = request{protocol: protocolOf(c.protocol), address: host + ":" + strconv.Itoa(number.Number)}
					list = append(list, c)
				}
			}
		}
	}
	return list, errors.Join(missing...)
}

// variables are those that hold the address of a call; host and port apart are two of them, as `HOST:PORT`.
func variables(c topology.Call) []string {
	if c.Env != "" {
		return []string{c.Env}
	}
	var whole, hosts, ports []string
	for _, name := range topology.Keys(c.Forms) {
		form := c.Forms[name]
		host, port := strings.Contains(form, "{host}"), strings.Contains(form, "{port}")
		switch {
		case host && port, host && strings.Contains(form, "://"):
			whole = append(whole, name)
		case host:
			hosts = append(hosts, name)
		case port:
			ports = append(ports, name)
		}
	}
	for _, host := range hosts {
		for _, port := range ports {
			whole = append(whole, host+":"+port)
		}
	}
	return whole
}

// protocolOf is what the workload speaks where a port says nothing.
func protocolOf(protocol string) string {
	if protocol == "" {
		return "TCP"
	}
	return protocol
}

// carriesIdentity says whether a server can see who calls: HTTP has a header for it.
func carriesIdentity(protocol string) bool {
	return slices.Contains([]string{"HTTP", "HTTP2", "GRPC", "GRPC-WEB"}, protocol)
}

// judgeCalls makes every declared call.
func (w *World) judgeCalls(ctx context.Context) {
	list, err := w.calls()
	if err != nil {
		w.Case.Judge("callers", err)
	}
	var all errgroup.Group
	all.SetLimit(4)
	for _, it := range list {
		all.Go(func() error {
			answers := w.Topology.Answers(it.callee, it.cluster)
			// Clusters come up one after the other, and gateways hear of pods after their own are ready.
			_ = cluster.Eventually(ctx, time.Minute, func() error { return w.answered(ctx, it, answers) })
			w.Case.Judge(fmt.Sprintf("%s: %s", it, answers), w.answered(ctx, it, answers))
			return nil
		})
	}
	_ = all.Wait()
}

// answered makes a call some times: each must be answered by who is meant to be the first, who must see
// the caller.
func (w *World) answered(ctx context.Context, c call, answers topology.Answer) error {
	c.request.count, c.request.timeout = 4, 5*time.Second
	results, err := c.request.make(ctx, c.from)
	if err != nil {
		return err
	}
	for _, it := range results {
		if err := w.right(c, it, answers.First()); err != nil {
			return err
		}
	}
	return nil
}

// right says what is wrong with an answer.
func (w *World) right(c call, it result, allowed []string) error {
	if !it.OK {
		return fmt.Errorf("no answer: %s %v %s (resolved to %v)", it.Error, it.Status, it.Body, it.Resolved)
	}
	if it.Answer.Service != c.callee.Key {
		return fmt.Errorf("%s answered", it.Answer.Service)
	}
	if !slices.Contains(allowed, it.Answer.Cluster) {
		return fmt.Errorf("%s answered, not %s", it.Answer.Cluster, strings.Join(allowed, "+"))
	}
	if !carriesIdentity(c.request.protocol) {
		return nil
	}
	want := w.Topology.Identity(topology.Caller{Cluster: c.cluster, Namespace: c.caller.Namespace, Account: c.caller.ServiceAccount})
	if it.Answer.Identity != want {
		return fmt.Errorf("%s saw %q, not %s", it.Answer.Pod, it.Answer.Identity, want)
	}
	return nil
}
