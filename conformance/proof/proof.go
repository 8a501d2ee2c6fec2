// Package proof reads what `meshlatch prove` says of the declared calls of a tree, and compares it with what
// became of them.
package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	command := exec.CommandContext(ctx, meshlatch, "prove", tree, "--calls", topology, "--format", "json")
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	// It ends with 1 if a call is broken.
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || len(out) == 0) {
		return nil, fmt.Errorf("meshlatch prove: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	return read(out)
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
