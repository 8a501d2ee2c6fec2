// Package defects reads the ways to break a good bundle that the YAML files beside it tell.
package defects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"
)

// Hops are the places on the way of a call at which it can end.
var Hops = []string{"name", "address", "scope", "route", "endpoint", "tls", "gateway", "chain", "owner", "pod", "identity"}

// Defect is a way to break a bundle, and what the caller then sees.
type Defect struct {
	Slug     string   `json:"-"`
	Case     string   `json:"case"` // a folder with topology.yaml and out/
	Hop      string   `json:"hop"`
	Changes  []Change `json:"changes"`
	Restart  []string `json:"restart"`  // cluster/namespace/deployment: pods that learn of the change only anew
	Breaks   *Call    `json:"breaks"`   // the declared call that ends; none if the defect is harmless
	Seen     string   `json:"seen"`     // expression for what the caller is told
	Envoy    string   `json:"envoy"`    // expression for what the caller's Envoy writes: response flags, details, failure of the transport
	Still    []Call   `json:"still"`    // declared calls that go on working
	Refused  string   `json:"refused"`  // expression for why the API server does not take the change
	Harmless bool     `json:"harmless"` // nothing ends, though it looks so
}

// Change is a change to an object of a file.
type Change struct {
	File   string          `json:"file"` // of the case
	Kind   string          `json:"kind"`
	Name   string          `json:"name"` // needed if the file has several of the kind
	Patch  json.RawMessage `json:"patch"`
	Delete bool            `json:"delete"`
	Add    string          `json:"add"` // further objects; the file may be a new one
}

// Call is a declared call, in the names of the topology.
type Call struct {
	Caller  string `json:"caller"`
	Cluster string `json:"cluster"`
	Callee  string `json:"callee"`
	Port    string `json:"port"`
}

func (c Call) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s in %s calls %s:%s", c.Caller, c.Cluster, c.Callee, c.Port), ":")
}

// Read reads all files of a folder.
func Read(dir string) ([]*Defect, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var list []*Defect
	var wrong []error
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		d := &Defect{Slug: strings.TrimSuffix(filepath.Base(path), ".yaml")}
		if err := errors.Join(yaml.UnmarshalStrict(text, d), d.check()); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
		}
		list = append(list, d)
	}
	return list, errors.Join(wrong...)
}

func (d *Defect) check() error {
	var wrong []error
	if !slices.Contains(Hops, d.Hop) {
		wrong = append(wrong, fmt.Errorf("no such hop: %s", d.Hop))
	}
	if d.Refused == "" && d.Harmless != (d.Breaks == nil) {
		wrong = append(wrong, errors.New("it breaks a call, or is harmless, or is refused"))
	}
	if d.Breaks != nil && d.Seen == "" {
		wrong = append(wrong, errors.New("it does not tell what is seen"))
	}
	for _, it := range []string{d.Seen, d.Envoy, d.Refused} {
		_, err := regexp.Compile(it)
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// Apply makes the changes in a tree, which is a copy of the folder of the case.
func (d *Defect) Apply(tree string) error {
	for _, it := range d.Changes {
		path := filepath.Join(tree, it.File)
		_, missing := os.Stat(path)
		err := it.apply(path)
		if err == nil && missing != nil {
			err = list(tree, it.File)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", it.File, err)
		}
	}
	return nil
}

// list adds a new file to those that its cluster's kustomization names.
func list(tree, file string) error {
	part := strings.SplitN(filepath.ToSlash(file), "/", 3)
	path := filepath.Join(tree, part[0], part[1], "kustomization.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, "- "+part[2]+"\n"...), 0o644)
}

func (c Change) apply(path string) error {
	text, err := os.ReadFile(path)
	if err != nil && (c.Add == "" || !errors.Is(err, os.ErrNotExist)) {
		return err
	}
	documents := split(text)
	if c.Add != "" {
		return write(path, append(documents, split([]byte(c.Add))...))
	}
	at := -1
	for i, it := range documents {
		o, err := parse(it)
		if err != nil {
			return err
		}
		if o.Kind != c.Kind || c.Name != "" && o.Metadata.Name != c.Name {
			continue
		}
		if at >= 0 {
			return fmt.Errorf("more than one %s", c.Kind)
		}
		at = i
	}
	if at < 0 {
		return fmt.Errorf("no %s %s", c.Kind, c.Name)
	}
	if c.Delete {
		return write(path, slices.Delete(documents, at, at+1))
	}
	patch, err := jsonpatch.DecodePatch(c.Patch)
	if err != nil {
		return err
	}
	document, err := yaml.YAMLToJSON(documents[at])
	if err != nil {
		return err
	}
	changed, err := patch.Apply(document)
	if err != nil {
		return err
	}
	if jsonpatch.Equal(document, changed) {
		return errors.New("the patch changes nothing")
	}
	documents[at], err = yaml.JSONToYAML(changed)
	if err != nil {
		return err
	}
	return write(path, documents)
}

func split(text []byte) [][]byte {
	var list [][]byte
	for _, it := range bytes.Split(text, []byte("\n---\n")) {
		if len(bytes.TrimSpace(it)) > 0 {
			list = append(list, it)
		}
	}
	return list
}

func write(path string, documents [][]byte) error {
	for i, it := range documents {
		documents[i] = append(bytes.TrimSpace(it), '\n')
	}
	return os.WriteFile(path, bytes.Join(documents, []byte("---\n")), 0o644)
}

// Object is an object of a file, as written.
type Object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Text string `json:"-"`
}

// Key is what tells an object from others.
func (o Object) Key() string { return o.Kind + "/" + o.Metadata.Namespace + "/" + o.Metadata.Name }

func parse(document []byte) (Object, error) {
	o := Object{Text: "---\n" + strings.TrimSpace(string(document)) + "\n"}
	return o, yaml.Unmarshal(document, &o)
}

// Objects are those of a file, none of one that is not there.
func Objects(path string) ([]Object, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var list []Object
	for _, it := range split(text) {
		o, err := parse(it)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, o)
	}
	return list, nil
}
