// Addresses: a gateway with several of them loses one, and a name of a gateway changes what it stands for.
package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

const (
	// Errors put an address out of the way, and after 30 s or more it is tried again.
	longestDetour = 90 * time.Second
	// Proxies look a name up every few seconds, istiod every minute.
	longestLookUp = 3 * time.Minute
)

// judgeAddresses takes away each address of a gateway that has another one, and gives names new addresses.
func (w *World) judgeAddresses(ctx context.Context) {
	for _, owner := range topology.Keys(w.Clusters) {
		for i, it := range w.Outside.gateway(owner) {
			if it.name != "" {
				w.judgeName(ctx, owner, i)
			}
			w.judgeAddress(ctx, owner, w.Outside.gateway(owner)[i])
		}
	}
}

// judgeAddress takes an address of a gateway back. Who knows another one goes on.
func (w *World) judgeAddress(ctx context.Context, owner string, lost point) {
	ways := w.through(owner, func(addresses topology.Names) bool {
		return len(addresses) > 1 && slices.Contains(addresses, lost.written())
	})
	if len(ways) == 0 {
		return
	}
	c := w.Clusters[owner]
	if err := c.Withdraw(lost.address); err != nil {
		w.Case.Judge("withdraw "+lost.written(), err)
		return
	}
	w.judgeThrough(ctx, ways, owner, fmt.Sprintf("the gateway of %s loses %s", owner, lost.written()), longestDetour)
	if err := c.Publish(lost.address); err != nil {
		w.Case.Judge("publish "+lost.written(), err)
		return
	}
	w.judgeThrough(ctx, ways, owner, fmt.Sprintf("the gateway of %s has %s again", owner, lost.written()), longestDetour)
}

// judgeName gives a gateway's name another address, and takes the old one back.
func (w *World) judgeName(ctx context.Context, owner string, i int) {
	old := w.Outside.gateway(owner)[i]
	ways := w.through(owner, func(addresses topology.Names) bool { return slices.Contains(addresses, old.name) })
	if len(ways) == 0 {
		return
	}
	what := fmt.Sprintf("%s gets another address", old.name)
	if err := w.rename(ctx, owner, i); err != nil {
		w.Case.Judge(what, err)
		return
	}
	w.judgeThrough(ctx, ways, owner, what, longestLookUp)
}

// rename moves a name: the cloud tells DNS and the Service, and the old address is gone.
func (w *World) rename(ctx context.Context, owner string, i int) error {
	c, o := w.Clusters[owner], w.Outside
	old := o.gateway(owner)[i]
	four := old.address.As4()
	four[2] += 100 // a range of its own
	fresh := netip.AddrFrom4(four)
	if err := c.Publish(fresh); err != nil {
		return err
	}
	o.mutex.Lock()
	o.points[owner][i].address = fresh
	o.names[dns.Fqdn(old.name)] = []netip.Addr{fresh}
	o.mutex.Unlock()
	services, err := c.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range services.Items {
		it := &services.Items[i]
		if it.Spec.Type != corev1.ServiceTypeLoadBalancer || !w.crosses(owner, it) {
			continue
		}
		it.Status.LoadBalancer.Ingress = w.balancers(owner, it)
		if _, err := c.Client.CoreV1().Services(it.Namespace).UpdateStatus(ctx, it, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return c.Withdraw(old.address)
}

func (p point) written() string {
	if p.name != "" {
		return p.name
	}
	return p.address.String()
}

// through are the ways on which calls go to a cluster through its gateway, whose addresses for them fit.
func (w *World) through(owner string, fit func(topology.Names) bool) []way {
	ways, err := w.ways()
	if err != nil {
		w.Case.Judge("callers", err)
	}
	return slices.DeleteFunc(ways, func(it way) bool {
		return it.cluster == owner || !slices.Contains(it.answers.First(), owner) || !fit(w.Topology.Addresses(owner, it.cluster))
	})
}

// judgeThrough waits until calls get through again, some of them to the cluster in question.
func (w *World) judgeThrough(ctx context.Context, ways []way, owner, what string, limit time.Duration) {
	var all errgroup.Group
	for _, it := range ways {
		all.Go(func() error {
			began := time.Now()
			err := cluster.Eventually(ctx, limit, func() error {
				results, err := it.ask(ctx, asking{count: 20, timeout: 3 * time.Second})
				got := map[string]int{}
				for _, one := range results {
					if !one.OK {
						return fmt.Errorf("no answer: %s %v %s", one.Error, one.Status, one.Body)
					}
					got[one.Answer.Cluster]++
				}
				if err == nil && got[owner] == 0 {
					err = errors.New("all answers come from " + strings.Join(topology.Keys(got), "+"))
				}
				return err
			})
			w.Case.Judge(fmt.Sprintf("%s: %s is answered by %s, after %s", what, it.name, owner, time.Since(began).Round(time.Second)), err)
			return nil
		})
	}
	_ = all.Wait()
}
