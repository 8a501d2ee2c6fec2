// Package accept gives bundles to real API servers, as their runbooks say, and takes them away again.
//
// An API server has the CustomResourceDefinitions of one release of Istio and is used by all bundles for it, one after
// the other. No pod runs: there is no node. Of each bundle is judged that
//   - every object is accepted without a warning or an unknown field, and a second time without a change: `apply.go`;
//   - the commands of its runbook bring the same objects, and take away what the runbook does not say stays: `follow.go`.
//
// Which commands are not run says `runbook.go`, what definitions are not to be had says `definitions.go`.
package accept

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

// Settings is what a run is told.
type Settings struct {
	Programs    string // the folder with the programs of Kubernetes
	Logs        string // a folder for what they say
	Definitions string // the folder that conformance/crds.sh prints
}

// atOnce is how many API servers run at the same time.
const atOnce = 2

// Run judges the bundles of cases, folders with topology.yaml and out/. It must run in a sandbox, with kubectl on the path.
func Run(ctx context.Context, settings Settings, r *report.Report, dirs []string) {
	releases, err := releasesIn(settings.Definitions)
	if err != nil {
		r.Case("accept").Judge("knows Istio's definitions", err)
		return
	}
	groups := map[release][]*bundle{}
	for _, dir := range dirs {
		for _, it := range open(r.Case(dir), dir, releases) {
			groups[it.release] = append(groups[it.release], it)
		}
	}
	// The longest ones first: the others fit in beside them.
	order := make([]release, 0, len(groups))
	for it := range groups {
		order = append(order, it)
	}
	slices.SortFunc(order, func(a, b release) int {
		if d := len(groups[b]) - len(groups[a]); d != 0 {
			return d
		}
		return strings.Compare(a.version, b.version)
	})
	var all errgroup.Group
	all.SetLimit(atOnce)
	var left leftOut
	for i, release := range order {
		all.Go(func() error {
			judge(ctx, settings, release, i+1, groups[release], &left)
			return nil
		})
	}
	_ = all.Wait()
	left.tell(r)
}

// open reads the bundles of a case.
func open(c *report.Case, dir string, releases []release) []*bundle {
	t, err := topology.Read(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		c.Judge("has a topology", err)
		return nil
	}
	var list []*bundle
	for _, name := range topology.Keys(t.Clusters) {
		folder := filepath.Join(dir, "out", name)
		if _, err := os.Stat(folder); os.IsNotExist(err) && pending(t) {
			c.Skip(name, "it is not written while a gateway is pending")
			continue
		}
		it, err := readBundle(folder, name)
		if err == nil {
			it.release, err = nearest(releases, t.Clusters[name].Istio)
		}
		if err != nil {
			c.Judge(name+": is a bundle", err)
			continue
		}
		it.report, it.topology = c, t.Clusters[name]
		list = append(list, it)
	}
	return list
}

func pending(t *topology.Topology) bool {
	for _, it := range t.Clusters {
		if slices.Contains(it.Gateway.Address, "pending") {
			return true
		}
	}
	return false
}

// judge judges bundles for one release of Istio.
func judge(ctx context.Context, settings Settings, release release, number int, bundles []*bundle, left *leftOut) {
	began := time.Now()
	s, err := openServer(ctx, settings, release, number, bundles)
	if err != nil {
		for _, it := range bundles {
			it.report.Judge(fmt.Sprintf("%s: an API server with the definitions of %s", it.cluster, release.version), err)
		}
		return
	}
	defer s.close()
	up := time.Since(began)
	for i, it := range bundles {
		if err := s.judge(ctx, it, left); err != nil {
			// What a bundle left there would be held against the next ones.
			for _, it := range bundles[i:] {
				it.report.Judge(it.cluster+": is alone on the API server", err)
			}
			return
		}
	}
	if len(bundles) > 0 {
		bundles[len(bundles)-1].report.Progress("definitions of %s: API server up in %.0fs, %d bundles in %.0fs",
			release.version, up.Seconds(), len(bundles), (time.Since(began) - up).Seconds())
	}
}

// judge judges one bundle; an error says that the API server is of no use any more.
func (s *server) judge(ctx context.Context, b *bundle, left *leftOut) error {
	for _, it := range b.shapeless() {
		b.report.Skip(fmt.Sprintf("%s: fields of %s %s", b.cluster, it.version, it.kind), it.why)
	}
	t0 := time.Now()
	accepted, err := s.accept(ctx, b)
	t1 := time.Now()
	b.report.Judge(fmt.Sprintf("%s: %d objects accepted, twice the same (definitions of %s)", b.cluster, len(b.objects), s.release.version), err)
	if err := s.sweep(ctx); err != nil {
		return err
	}
	t2 := time.Now()
	s.follow(ctx, b, accepted, left)
	t3 := time.Now()
	err = s.sweep(ctx)
	fmt.Println("TIMES accept", t1.Sub(t0), "sweep", t2.Sub(t1), "follow", t3.Sub(t2), "sweep", time.Since(t3))
	return err
}

// leftOut counts the commands of runbooks that were not run.
type leftOut struct {
	mutex sync.Mutex
	times map[string]int
	why   map[string]string
}

func (l *leftOut) add(c command) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.times == nil {
		l.times, l.why = map[string]int{}, map[string]string{}
	}
	l.times[c.short()]++
	l.why[c.short()] = c.leftOut
}

func (l *leftOut) tell(r *report.Report) {
	for _, it := range topology.Keys(l.times) {
		r.Case("commands of runbooks").Skip(fmt.Sprintf("%s (%d times)", it, l.times[it]), l.why[it])
	}
}
