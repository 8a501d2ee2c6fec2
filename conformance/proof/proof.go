// Package proof reads what `meshlatch prove` says of the declared calls of a tree, and compares it with what
// became of them.
package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// Call is a declared call from one cluster, as a proof names it.
type Call struct {
	Cluster string `json:"cluster"`
	Caller  Caller `json:"caller"`
	Callee  string `json:"callee"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
}

// Caller is a service or an ingress, by its key in the topology.
type Caller struct {
	Kind string `json:"kind"` // `service` or `ingress`
	Name string `json:"name"`
}

func (c Call) String() string {
	name := c.Caller.Name
	if c.Caller.Kind == "ingress" {
		name = "ingress " + name
	}
	return fmt.Sprintf("%s in %s calls %s at %s:%d", name, c.Cluster, c.Callee, c.Host, c.Port)
}

// Proof is what is said of each call.
type Proof map[Call]Fate

// Fate is what is said of one: who may answer, or where it ends.
type Fate struct {
	Ends     string   // the hop and why; nothing of a call that gets there
	Clusters []string // whose pods may answer; none outside of the mesh
}

// Of has a tree of bundles proved, for the calls that a topology declares.
func Of(ctx context.Context, meshlatch, tree, topology string) (Proof, error) {
	out, err := prove(ctx, meshlatch, tree, topology)
	if err != nil {
		return nil, err
	}
	return read(out)
}

func prove(ctx context.Context, meshlatch, tree, topology string, more ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, meshlatch, append([]string{"prove", tree, "--calls", topology, "--format", "json"}, more...)...)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	// It ends with 1 if a call is broken.
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || len(out) == 0) {
		return nil, fmt.Errorf("meshlatch prove: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out, nil
}

func read(text []byte) (Proof, error) {
	var all struct {
		Proved []struct {
			Call Call
			Ways []struct{ Cluster string }
		}
		Broken []struct {
			Call  Call
			Break struct{ Hop, Why string }
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("meshlatch prove: %w", err)
	}
	p := Proof{}
	for _, it := range all.Proved {
		fate := p[it.Call]
		for _, way := range it.Ways {
			if way.Cluster != "" {
				fate.Clusters = append(fate.Clusters, way.Cluster)
			}
		}
		p[it.Call] = fate
	}
	for _, it := range all.Broken {
		p[it.Call] = Fate{Ends: it.Break.Hop + ": " + it.Break.Why}
	}
	return p, nil
}

// Without is what is said of the calls to a service that has no pods left in some clusters.
func Without(ctx context.Context, meshlatch, tree, topology, service string, clusters []string) (Proof, error) {
	p, err := Of(ctx, meshlatch, tree, topology)
	if err != nil {
		return nil, err
	}
	var losses []string
	for _, it := range clusters {
		losses = append(losses, "--without-service="+service+"@"+it)
	}
	out, err := prove(ctx, meshlatch, tree, topology, losses...)
	if err != nil {
		return nil, err
	}
	if err := p.lose(out); err != nil {
		return nil, err
	}
	maps.DeleteFunc(p, func(call Call, _ Fate) bool { return call.Callee != service })
	return p, nil
}

// lose changes the fates of calls that a loss touches. All others go on as they did.
func (p Proof) lose(text []byte) error {
	var all struct {
		Losses []struct {
			Calls []struct {
				Call  Call
				Fate  string
				To    []struct{ Cluster string }
				Why   string
				Break struct{ Hop, Why string }
			}
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("meshlatch prove: %w", err)
	}
	for _, loss := range all.Losses {
		for _, it := range loss.Calls {
			fate := Fate{Ends: fmt.Sprintf("%s: %s %s", it.Break.Hop, it.Break.Why, it.Why)}
			if it.Fate == "fallsOver" {
				fate = Fate{}
				for _, way := range it.To {
					fate.Clusters = append(fate.Clusters, way.Cluster)
				}
			}
			p[it.Call] = fate
		}
	}
	return nil
}

// Made is what became of a call.
type Made struct {
	Call    Call
	Answers []string // the clusters that answered if there is no error; none outside of the mesh
	Err     error
}

// Agreement counts calls that were made, by what the proof says of them.
type Agreement struct {
	Proved, Worked int // those that get there, and how many did
	Broken, Failed int // those that end, and how many did
	Wrong          []string
}

// Compare judges each call of the proof by all attempts that were made. No call may be missing on either side.
func (p Proof) Compare(made []Made) Agreement {
	var a Agreement
	attempts := map[Call][]Made{}
	for _, it := range made {
		if _, known := p[it.Call]; !known {
			a.wrong(it.Call, "the proof does not know it")
		}
		attempts[it.Call] = append(attempts[it.Call], it)
	}
	for call, fate := range p {
		switch {
		case attempts[call] == nil:
			a.wrong(call, "nobody made it")
		case fate.Ends != "":
			a.Broken++
			if slices.ContainsFunc(attempts[call], func(it Made) bool { return it.Err != nil }) {
				a.Failed++
			} else {
				a.wrong(call, "it works, and ends for the proof at "+fate.Ends)
			}
		default:
			a.Proved++
			if wrong := fate.worked(attempts[call]); wrong == "" {
				a.Worked++
			} else {
				a.wrong(call, wrong)
			}
		}
	}
	slices.Sort(a.Wrong)
	return a
}

// worked says what is wrong with calls that get there.
func (f Fate) worked(attempts []Made) string {
	for _, it := range attempts {
		if it.Err != nil {
			return "it is proved, and fails: " + it.Err.Error()
		}
		for _, cluster := range it.Answers {
			if !slices.Contains(f.Clusters, cluster) {
				return fmt.Sprintf("%s answers, for the proof only %s may", cluster, strings.Join(f.Clusters, "+"))
			}
		}
	}
	return ""
}

func (a *Agreement) wrong(call Call, why string) {
	a.Wrong = append(a.Wrong, fmt.Sprintf("%s: %s", call, why))
}

// Err tells of the calls that became something else than the proof says.
func (a Agreement) Err() error {
	if len(a.Wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(a.Wrong, "; "))
}

// Add counts those of another tree, too.
func (a *Agreement) Add(b Agreement) {
	a.Proved, a.Worked = a.Proved+b.Proved, a.Worked+b.Worked
	a.Broken, a.Failed = a.Broken+b.Broken, a.Failed+b.Failed
	a.Wrong = append(a.Wrong, b.Wrong...)
}

func (a Agreement) String() string {
	return fmt.Sprintf("%d of %d proved calls worked, %d of %d broken calls failed", a.Worked, a.Proved, a.Failed, a.Broken)
}
