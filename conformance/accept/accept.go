// Package accept gives bundles to real API servers, as their runbooks say, and takes them away again.
//
// An API server has the CustomResourceDefinitions of one release of Istio, and is used by all bundles for it, one after
// the other; then it gets those of another release. No pod runs: there is no node. Of each bundle is judged that
//   - every object is accepted without a warning or an unknown field, and a second time without a change: `apply.go`;
//   - the commands of its runbook bring the same objects, and take away what the runbook does not say stays: `follow.go`.
//
// Which commands are not run is said in `runbook.go`, which definitions are not to be had in `definitions.go`.
package accept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

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

// group is the bundles for one release.
type group struct {
	release release
	bundles []*bundle
}

// Run judges the bundles of cases, folders with topology.yaml and out/. It needs kubectl on the path; without a sandbox
// its API servers listen on loopback.
func Run(ctx context.Context, settings Settings, r *report.Report, dirs []string) {
	releases, err := releasesIn(settings.Definitions)
	if err != nil {
		r.Case("accept").Judge("knows Istio's definitions", err)
		return
	}
	bundles := map[release][]*bundle{}
	for _, dir := range dirs {
		for _, it := range open(r.Case(dir), dir, releases) {
			bundles[it.release] = append(bundles[it.release], it)
		}
	}
	var groups []group
	for release, list := range bundles {
		groups = append(groups, group{release, list})
	}
	// The longest ones first: the others fit in beside them.
	slices.SortFunc(groups, func(a, b group) int {
		if d := len(b.bundles) - len(a.bundles); d != 0 {
			return d
		}
		return strings.Compare(a.release.version, b.release.version)
	})
	queue := make(chan group, len(groups))
	for _, it := range groups {
		queue <- it
	}
	close(queue)
	var left leftOut
	var all sync.WaitGroup
	for number := range min(atOnce, len(groups)) {
		all.Go(func() { work(ctx, settings, number+1, queue, &left) })
	}
	all.Wait()
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

// work judges groups until there are no more. A bundle that spoils the API server leaves the next one a new one.
func work(ctx context.Context, settings Settings, number int, queue <-chan group, left *leftOut) {
	var s *server
	end := func() {
		if s != nil {
			s.close()
			s = nil
		}
	}
	defer end()
	var down error // it does not start
	for g := range queue {
		var unprepared error
		prepared := false
		for _, it := range g.bundles {
			if s == nil && down == nil {
				s, down = openServer(ctx, settings, number)
				prepared = false
			}
			if !prepared && down == nil {
				unprepared = s.prepare(ctx, settings.Definitions, g)
				prepared = true
			}
			err := errors.Join(down, unprepared)
			if err == nil {
				if err = s.judge(ctx, it, left); err != nil {
					end()
				}
			}
			if err != nil {
				it.report.Judge(it.cluster+": has an API server to itself, and leaves it as it was", err)
			}
		}
	}
}

// judge judges one bundle; an error says that the API server is not what it was before.
func (s *server) judge(ctx context.Context, b *bundle, left *leftOut) error {
	for _, it := range b.shapeless() {
		b.report.Skip(fmt.Sprintf("%s: fields of %s %s", b.cluster, it.version, it.kind), it.why)
	}
	accepted, err := s.accept(ctx, b)
	b.report.Judge(fmt.Sprintf("%s: %d objects accepted, twice the same (definitions of %s)", b.cluster, len(b.objects), s.release.version), err)
	if err := s.sweep(ctx); err != nil {
		return err
	}
	s.follow(ctx, b, accepted, left)
	return s.sweep(ctx)
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
