// PLAN.md, as `meshlatch migrate` writes it: the commands of each step.
package route

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"meshlatch/conformance/topology"
)

// plan is how a service moves.
type plan struct {
	service string // that moves; empty if everything may change
	first   state
	steps   []state
}

// state is a topology, and the commands that lead to it from the one before.
type state struct {
	name     string
	topology *topology.Topology
	beside   *topology.Topology // one that some pods know already, or nil
	commands []string
	notes    []string // what the plan asks a person to do
	wrong    bool     // whether calls must fail on the way to it
}

var (
	moved   = regexp.MustCompile("^# Moving `([^`]+)`")
	compile = regexp.MustCompile(`^meshlatch compile (\S+)/topology\.yaml `)
	rollout = regexp.MustCompile(`-n (\S+) rollout status deployment/(\S+)`)
)

// readPlan reads a folder. Commands after "The way back" are not for who goes on.
func readPlan(dir string) (*plan, error) {
	text, err := os.ReadFile(filepath.Join(dir, "PLAN.md"))
	if err != nil {
		return nil, err
	}
	p := &plan{first: state{name: "00-now"}}
	if p.first.topology, err = topology.Read(filepath.Join(dir, p.first.name, "topology.yaml")); err != nil {
		return nil, err
	}
	found := moved.FindStringSubmatch(string(text))
	if found == nil {
		return nil, errors.New("PLAN.md does not say what moves")
	}
	p.service = found[1]
	chapters := strings.Split(string(text), "\n## ")
	for _, chapter := range chapters[1:] {
		forward, _, _ := strings.Cut(chapter, "\nThe way back: ")
		s := state{commands: commandsIn(forward)}
		for _, line := range strings.Split(forward, "\n") {
			if note, is := strings.CutPrefix(line, "- "); is {
				s.notes = append(s.notes, note)
			}
		}
		if len(s.commands) == 0 || !compile.MatchString(s.commands[0]) {
			return nil, fmt.Errorf("a step does not begin with `meshlatch compile`: %s", chapter)
		}
		s.name = compile.FindStringSubmatch(s.commands[0])[1]
		if s.topology, err = topology.Read(filepath.Join(dir, s.name, "topology.yaml")); err != nil {
			return nil, err
		}
		p.steps = append(p.steps, s)
	}
	if p.steps == nil {
		return nil, errors.New("PLAN.md has no steps")
	}
	return p, nil
}

// commandsIn are the lines of all fenced shell, those that go on in the next line as one.
func commandsIn(markdown string) []string {
	var list []string
	for i, part := range strings.Split(markdown, "```") {
		script, is := strings.CutPrefix(part, "sh\n")
		if i%2 == 0 || !is {
			continue
		}
		for _, line := range strings.Split(strings.ReplaceAll(script, "\\\n", ""), "\n") {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
	}
	return list
}

// states are all, the first too.
func (p *plan) states() []state { return append([]state{p.first}, p.steps...) }

// rolled says whether the pods of a service are replaced on the way.
func (p *plan) rolled(s *topology.Service) bool {
	for _, it := range p.steps {
		for _, command := range it.commands {
			found := rollout.FindStringSubmatch(command)
			if found != nil && found[1] == s.Namespace && found[2] == s.Name {
				return true
			}
		}
	}
	return false
}
