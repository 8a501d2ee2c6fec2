package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// object is one of an API server, or a part of one.
type object = map[string]any

// at finds what is behind keys and indexes.
func at(tree any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			it, _ := tree.(object)
			tree = it[step]
		case int:
			it, _ := tree.([]any)
			if step >= len(it) {
				return nil
			}
			tree = it[step]
		}
	}
	return tree
}

func text(tree any, path ...any) string {
	it, _ := at(tree, path...).(string)
	return it
}

func number(tree any, path ...any) int {
	it, _ := at(tree, path...).(float64)
	return int(it)
}

func list(tree any, path ...any) []any {
	it, _ := at(tree, path...).([]any)
	return it
}

// parse reads a file of objects.
func parse(file []byte) ([]object, error) {
	var all []object
	for _, document := range strings.Split("\n"+string(file), "\n---") {
		var it object
		if err := yaml.Unmarshal([]byte(document), &it); err != nil {
			return nil, fmt.Errorf("%w in %.200s", err, document)
		}
		if text(it, "kind") == "List" {
			for _, item := range list(it, "items") {
				all = append(all, item.(object))
			}
		} else if it != nil {
			all = append(all, it)
		}
	}
	return all, nil
}

// bundle is what one cluster is given.
type bundle struct {
	before   []object // what is there before Helm is called
	rendered []object // what the installer makes
	applied  []object
}

func (b *bundle) all() []object {
	return append(append(append([]object{}, b.before...), b.rendered...), b.applied...)
}

func readBundle(dir, release string) (*bundle, error) {
	b := &bundle{}
	err := filepath.WalkDir(dir, func(path string, it fs.DirEntry, err error) error {
		if err != nil || it.IsDir() || filepath.Ext(path) != ".yaml" || it.Name() == "kustomization.yaml" {
			return err
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder := filepath.Base(filepath.Dir(path))
		switch {
		case folder == "05-secrets" || folder == "30-dns" && strings.Contains(string(file), "Corefile"):
			return nil
		case folder == "10-istio" && it.Name() == "values.yaml":
			return b.helm(path)
		case folder == "10-istio" && strings.Contains(string(file), "\nkind: IstioOperator\n"):
			return b.istioctl(path, release)
		}
		objects, err := parse(file)
		if folder == "10-istio" {
			b.before = append(b.before, objects...)
		} else {
			b.applied = append(b.applied, objects...)
		}
		return err
	})
	if err == nil && b.rendered == nil {
		err = errors.New("no install file")
	}
	return b, err
}

func program(release string) string { return filepath.Join(programs, "istio-"+release) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// announced is said by 1.7 of addons, and by 1.8 of its DNS server: the topology asks for them, and it is
// the last release that has them.
var announced = regexp.MustCompile(`(?m)^! addonComponents\.\w+\.enabled is deprecated; use .*$`)

// output runs a program; what it complains of is an error, warnings too.
func output(command *exec.Cmd) ([]byte, error) {
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, tail(complaints.String()))
	}
	if said := strings.TrimSpace(announced.ReplaceAllString(complaints.String(), "")); said != "" {
		return nil, errors.New(tail(said))
	}
	return out.Bytes(), nil
}

// answered runs a program that talks a lot, and answers in its fourth file.
func answered(command *exec.Cmd) ([]byte, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	var talk bytes.Buffer
	command.Stdout, command.Stderr, command.ExtraFiles = &talk, &talk, []*os.File{write}
	if err := command.Start(); err != nil {
		return nil, err
	}
	write.Close()
	answer, err := io.ReadAll(read)
	read.Close()
	if ended := command.Wait(); ended != nil {
		return nil, fmt.Errorf("%w: %s", ended, tail(talk.String()))
	}
	return answer, err
}

func tail(said string) string {
	said = strings.Join(strings.Fields(said), " ")
	if len(said) > 1500 {
		said = "... " + said[len(said)-1500:]
	}
	return said
}

// rendered keeps what an installer made of a file.
var rendered = map[string][]byte{}

func (b *bundle) take(key string, make func() ([]byte, error)) error {
	if rendered[key] == nil {
		made, err := make()
		if err != nil {
			return err
		}
		rendered[key] = made
	}
	var err error
	b.rendered, err = parse(rendered[key])
	return err
}

func (b *bundle) istioctl(path, release string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return b.take(release+string(file), func() ([]byte, error) {
		command := []string{"manifest", "generate", "-f", path}
		if charts := program(release) + "-charts"; exists(charts) {
			command = append(command, "-d", charts)
		}
		return output(exec.Command(program(release), command...))
	})
}

func (b *bundle) helm(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	chart := filepath.Join(programs, "istio-1.4-charts", "istio")
	if err := knownValues(chart, file); err != nil {
		return err
	}
	if err := b.take(string(file), func() ([]byte, error) {
		return output(exec.Command(program("1.4"), "template", chart, path))
	}); err != nil {
		return err
	}
	// A Job of the chart applies what is in its ConfigMap: the policy for the whole mesh is one of these.
	for _, it := range b.rendered {
		if text(it, "kind") == "ConfigMap" && text(it, "metadata", "name") == "istio-security-custom-resources" {
			objects, err := parse([]byte(text(it, "data", "custom-resources.yaml")))
			if err != nil {
				return err
			}
			b.rendered = append(b.rendered, objects...)
		}
	}
	return nil
}

// knownValues says which values no chart has: Helm takes any.
func knownValues(chart string, file []byte) error {
	var values, known object
	if err := yaml.Unmarshal(file, &values); err != nil {
		return err
	}
	read := func(path string, into *object) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return yaml.Unmarshal(text, into)
	}
	if err := read(filepath.Join(chart, "values.yaml"), &known); err != nil {
		return err
	}
	for name := range values {
		own := object{}
		if err := read(filepath.Join(chart, "charts", name, "values.yaml"), &own); err != nil {
			continue // a value of the whole
		}
		above, _ := known[name].(object)
		for key, value := range above {
			if own[key] == nil {
				own[key] = value
			}
		}
		known[name] = own
	}
	return within(values, known, "")
}

func within(values, known object, path string) error {
	for key, value := range values {
		there, is := known[key]
		if !is {
			return fmt.Errorf("no chart has the value %s%s", path, key)
		}
		inner, isMap := value.(object)
		below, wasMap := there.(object)
		if isMap && wasMap && len(below) > 0 {
			if err := within(inner, below, path+key+"."); err != nil {
				return err
			}
		}
	}
	return nil
}
