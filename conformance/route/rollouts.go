// Topologies that follow one another are rolled out under load, in the order that `meshlatch rollout` finds.
package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

var (
	written = regexp.MustCompile(`^meshlatch rollout \S+ \S+ --step (\d+-(\w+)) `)
	applied = regexp.MustCompile(`^kubectl --context (\S+) apply `)
)

// Rollouts does what `meshlatch rollout` plans from each topology of a folder to the next, while everybody calls. No
// call may fail, but on the way to the one that is called wrong: there what is left over goes first.
func Rollouts(ctx context.Context, settings Settings, c *report.Case, dir string, wait bool) error {
	return carryOut(ctx, settings, c, wait, func() (*move, error) { return openRollouts(ctx, settings, c, dir) })
}

// openRollouts starts the clusters of all.yaml with the bundles of the first topology.
func openRollouts(ctx context.Context, settings Settings, c *report.Case, dir string) (*move, error) {
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]-*.yaml"))
	if err != nil {
		return nil, err
	}
	p := &plan{}
	m, err := prepare(settings, p, dir)
	if err != nil {
		return nil, err
	}
	// The clusters have every address that a gateway will have.
	if err := os.Rename(filepath.Join(m.dir, "all.yaml"), filepath.Join(m.dir, "topology.yaml")); err != nil {
		return nil, err
	}
	first := filepath.Base(files[0])
	if p.first.topology, err = topology.Read(filepath.Join(dir, first)); err != nil {
		return nil, err
	}
	p.first.name = strings.TrimSuffix(first, ".yaml")
	for i := range files[1:] {
		if err := p.rollout(filepath.Join(m.meshlatch, "meshlatch"), m.dir, filepath.Base(files[i]), filepath.Base(files[i+1])); err != nil {
			return nil, err
		}
	}
	if err := m.shell(ctx, "meshlatch compile "+first+" -o out"); err != nil {
		return nil, err
	}
	var all []*topology.Topology
	for _, it := range p.states() {
		all = append(all, it.topology)
	}
	m.world, err = openWith(ctx, settings, c, m.dir, all)
	if err != nil {
		return m, err
	}
	return m, m.look(ctx)
}

// rollout adds the steps of one plan.
func (p *plan) rollout(meshlatch, dir, old, new string) error {
	command := exec.Command(meshlatch, "rollout", old, new)
	command.Dir = dir
	text, err := command.Output()
	if err != nil {
		return fmt.Errorf("meshlatch rollout %s %s: %w", old, new, err)
	}
	before, err := topology.Read(filepath.Join(dir, old))
	after, alsoErr := topology.Read(filepath.Join(dir, new))
	if err := errors.Join(err, alsoErr); err != nil {
		return err
	}
	name := strings.TrimSuffix(new, ".yaml")
	var steps []state
	for _, chapter := range strings.Split(string(text), "\n## ")[1:] {
		s := state{name: name, topology: after, commands: commandsIn(chapter)}
		found := written.FindStringSubmatch(s.commands[0])
		if found == nil {
			return fmt.Errorf("a step does not begin with `meshlatch rollout`: %s", chapter)
		}
		s.name += "/" + found[1]
		if found[2] == "prepare" || found[2] == "open" {
			s.topology, s.beside = before, after
		}
		steps = append(steps, s)
	}
	if strings.Contains(name, "wrong") {
		steps = []state{inWrongOrder(name, new, after, steps)}
	}
	p.steps = append(p.steps, steps...)
	return nil
}

// inWrongOrder is one step in which everything goes that goes, and then all comes.
func inWrongOrder(name, file string, after *topology.Topology, steps []state) state {
	s := state{name: name, topology: after, wrong: true, commands: []string{"meshlatch compile " + file + " -o out"}}
	var come []string
	for _, step := range steps {
		for _, it := range step.commands[1:] {
			if strings.Contains(it, " delete ") {
				s.commands = append(s.commands, it)
			} else if !slices.Contains(come, it) {
				come = append(come, it)
			}
		}
	}
	s.commands = append(s.commands, come...)
	return s
}

// installNew installs Istio in a cluster whose bundle a command is the first to apply.
func (m *move) installNew(ctx context.Context, command string) error {
	found := applied.FindStringSubmatch(command)
	if found == nil || m.world.installed[found[1]] {
		return nil
	}
	if err := m.world.install(ctx, found[1]); err != nil {
		return err
	}
	m.world.installed[found[1]] = true
	return m.world.Clusters[found[1]].Available(ctx, 5*time.Minute)
}
