// Failover: the pods of a service go, one cluster after the other, and come back.
package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/proof"
	"meshlatch/conformance/topology"
)

const (
	// The first errors put a gateway out of the way; there may be a round of them at each.
	longestFailover = 90 * time.Second
	// A gateway is out of the way for 30 s, and 30 s more each time; ten seconds pass between looks at it.
	longestReturn = 3 * time.Minute
	longestError  = 10 * time.Second
)

// judgeFailover kills the pods of every service that several clusters run in an order. All the while no
// gateway may hand a call to another one: who calls has the others to choose from.
func (w *World) judgeFailover(ctx context.Context) {
	waves := w.waves()
	if len(waves) == 0 {
		return
	}
	before, err := w.passedOn(ctx)
	if err != nil {
		w.Case.Judge("connections of gateways", err)
		return
	}
	defer w.judgePassedOn(ctx, before)
	for _, wave := range waves {
		var all errgroup.Group
		for _, s := range wave {
			all.Go(func() error {
				w.failOver(ctx, s)
				return nil
			})
		}
		_ = all.Wait()
	}
}

// waves are the services to kill; none of a wave calls another of it.
func (w *World) waves() [][]*topology.Service {
	var waves [][]*topology.Service
	calls := func(a, b *topology.Service) bool {
		return slices.ContainsFunc(a.Calls, func(it topology.Call) bool { return it.Service == b.Key })
	}
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		placed, balance := w.Topology.Placement(s)
		if len(placed) < 2 || balance.Weights != nil || len(w.Topology.Callers(s)) == 0 {
			continue
		}
		free := slices.IndexFunc(waves, func(wave []*topology.Service) bool {
			return !slices.ContainsFunc(wave, func(it *topology.Service) bool { return calls(it, s) || calls(s, it) })
		})
		if free < 0 {
			waves = append(waves, nil)
			free = len(waves) - 1
		}
		waves[free] = append(waves[free], s)
	}
	return waves
}

// failOver kills a service and has it come back, step by step, all its callers calling.
func (w *World) failOver(ctx context.Context, s *topology.Service) {
	ways, err := w.ways()
	ways = slices.DeleteFunc(ways, func(it way) bool { return it.callee != s })
	if err != nil {
		w.Case.Judge("callers of "+s.Key, err)
		return
	}
	replicas := map[string]int32{}
	var before []string
	for _, dead := range steps(ways) {
		limit := longestFailover
		if slices.ContainsFunc(before, func(it string) bool { return !slices.Contains(dead, it) }) {
			limit = longestReturn
		}
		before = dead
		if err := w.kill(ctx, s, replicas, dead); err != nil {
			w.Case.Judge(loss(s, dead), err)
			return
		}
		var all errgroup.Group
		var lost []way
		made := make([]proof.Made, len(ways))
		for i, it := range ways {
			made[i].Call, made[i].Answers = it.call, left(it.answers, dead)
			if made[i].Answers == nil {
				lost = append(lost, it)
				continue
			}
			all.Go(func() error {
				took, err := it.comesTo(ctx, limit, made[i].Answers)
				w.Case.Judge(fmt.Sprintf("%s, %s: %s, after %s", loss(s, dead), it.name, strings.Join(made[i].Answers, "+"), took), err)
				made[i].Err = err
				return nil
			})
		}
		_ = all.Wait()
		if len(lost) > 0 && w.judgeLost(ctx, s, dead, lost) {
			for i := range made {
				if made[i].Answers == nil {
					made[i].Err = errNobody
				}
			}
		}
		if len(dead) > 0 {
			w.judgeLoss(ctx, s, dead, made)
		}
	}
}

func loss(s *topology.Service, dead []string) string {
	if len(dead) == 0 {
		return s.Key + " lives"
	}
	return s.Key + " is gone in " + strings.Join(dead, "+")
}

// steps are who is dead: the first, nobody, then whoever is in front in the order of each way, few before
// many, all, nobody. Nobody was called in vain before who is to answer: it would be left alone for a while.
func steps(ways []way) [][]string {
	var sets [][]string
	var all []string
	add := func(dead []string) {
		same := func(it []string) bool {
			return slices.Equal(slices.Sorted(slices.Values(it)), slices.Sorted(slices.Values(dead)))
		}
		if !slices.ContainsFunc(sets, same) {
			sets = append(sets, dead)
		}
	}
	for _, it := range ways {
		order := it.answers.Clusters()
		for i := range order {
			if !slices.Contains(all, order[i]) {
				all = append(all, order[i])
			}
			add(order[:i+1])
		}
	}
	add(all)
	slices.SortStableFunc(sets, func(a, b []string) int { return len(a) - len(b) })
	return append(append([][]string{sets[0], nil}, sets...), nil)
}

// left are those of the first tier in which somebody lives.
func left(answers topology.Answer, dead []string) []string {
	for _, name := range dead {
		answers = answers.Without(name)
	}
	if len(answers.Tiers) == 0 {
		return nil
	}
	return answers.Tiers[0]
}

// kill makes it so that exactly these clusters have no pod of a service.
func (w *World) kill(ctx context.Context, s *topology.Service, replicas map[string]int32, dead []string) error {
	var all errgroup.Group
	var mutex sync.Mutex
	for _, name := range w.Topology.Hosted(s) {
		all.Go(func() error {
			deployments := w.Clusters[name].Client.AppsV1().Deployments(s.Namespace)
			list, err := deployments.List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, it := range list.Items {
				if !covers(s.Selector, it.Spec.Template.Labels) {
					continue
				}
				scale, err := deployments.GetScale(ctx, it.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				mutex.Lock()
				key := name + "/" + it.Name
				if _, known := replicas[key]; !known {
					replicas[key] = scale.Spec.Replicas
				}
				want := replicas[key]
				mutex.Unlock()
				if slices.Contains(dead, name) {
					want = 0
				}
				if scale.Spec.Replicas == want {
					continue
				}
				scale.Spec.Replicas = want
				if _, err := deployments.UpdateScale(ctx, it.Name, scale, metav1.UpdateOptions{}); err != nil {
					return err
				}
			}
			return cluster.Eventually(ctx, 2*time.Minute, func() error {
				n := len(w.Clusters[name].Running(s.Namespace, s.Selector))
				if (n == 0) != slices.Contains(dead, name) {
					return fmt.Errorf("%d pods of %s run in %s", n, s.Key, name)
				}
				return nil
			})
		})
	}
	return all.Wait()
}

// errNobody is that of calls which end as they are meant to.
var errNobody = errors.New("nobody is left")

// judgeLost calls a service that nobody is left of, and says whether every call ends, and soon.
func (w *World) judgeLost(ctx context.Context, s *topology.Service, dead []string, lost []way) bool {
	what := loss(s, dead)
	// Pods that end answer for a while, some calls and others not; gateways hear of their end after it.
	err := cluster.Eventually(ctx, longestFailover, func() error {
		for _, name := range dead {
			if left := w.Clusters[name].Selected(s.Namespace, s.Selector); len(left) > 0 {
				return fmt.Errorf("%s has not ended", left[0].Name())
			}
		}
		return each(lost, func(it way) error { return it.ends(ctx) })
	})
	if err != nil {
		w.Case.Judge(what, err)
		return false
	}
	for range 3 {
		err = errors.Join(err, each(lost, func(it way) error { return it.ends(ctx) }))
	}
	var names []string
	for _, it := range lost {
		names = append(names, it.name)
	}
	w.Case.Judge(fmt.Sprintf("%s, %s: an error within %s", what, strings.Join(names, ", "), longestError), err)
	return err == nil
}

func each(ways []way, do func(way) error) error {
	var all errgroup.Group
	for _, it := range ways {
		all.Go(func() error { return do(it) })
	}
	return all.Wait()
}

// ends says whether calls end in an error, soon.
func (w way) ends(ctx context.Context) error {
	results, err := w.ask(ctx, asking{count: 4, timeout: longestError + 5*time.Second})
	for _, it := range results {
		if it.OK {
			return fmt.Errorf("%s: %s answered", w.name, it.Answer.Cluster)
		}
		if took := time.Duration(it.Milliseconds) * time.Millisecond; took > longestError {
			return fmt.Errorf("%s: an error after %s only: %s", w.name, took, it.Error)
		}
	}
	return err
}
