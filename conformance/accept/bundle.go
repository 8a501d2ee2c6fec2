// A bundle: the objects in its files.
package accept

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

// bundle is one cluster's folder of a case.
type bundle struct {
	report   *report.Case
	cluster  string
	topology *topology.Cluster
	folder   string
	release  release
	objects  []object // first those of kustomization.yaml, in its order
	runbook  *runbook
}

// object is an object for the API server.
type object struct {
	*unstructured.Unstructured
	file string // in the bundle
	text []byte // as it is written there
}

// String names an object for people.
func (o object) String() string { return o.file + ": " + nameOf(o.Unstructured) }

func nameOf(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// readBundle reads a bundle's folder.
func readBundle(folder, cluster string) (*bundle, error) {
	b := &bundle{cluster: cluster, folder: folder}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	text, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &kustomization)
	}
	if err != nil {
		return nil, err
	}
	files, err := yamlFiles(folder)
	if err != nil {
		return nil, err
	}
	for _, it := range files {
		if !slices.Contains(kustomization.Resources, it) {
			kustomization.Resources = append(kustomization.Resources, it)
		}
	}
	for _, it := range kustomization.Resources {
		objects, err := readObjects(folder, it)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", it, err)
		}
		b.objects = append(b.objects, objects...)
	}
	b.runbook, err = readRunbook(filepath.Join(folder, "RUNBOOK.md"))
	return b, err
}

// yamlFiles are all files with YAML but those that say what kustomize does.
func yamlFiles(folder string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(folder, func(path string, it fs.DirEntry, err error) error {
		if err == nil && !it.IsDir() && strings.HasSuffix(path, ".yaml") && it.Name() != "kustomization.yaml" {
			file, _ := filepath.Rel(folder, path)
			list = append(list, file)
		}
		return err
	})
	return list, err
}

// readObjects reads what in a file is for the API server. Values for charts are no objects, and an IstioOperator is one
// for istioctl only.
func readObjects(folder, file string) ([]object, error) {
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		return nil, err
	}
	var list []object
	reader := documents.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		fields := map[string]any{}
		if err := yaml.UnmarshalStrict(text, &fields); err != nil {
			return nil, err
		}
		it := object{&unstructured.Unstructured{Object: fields}, file, text}
		if it.GetAPIVersion() == "" && it.GetKind() == "" && strings.HasPrefix(file, "10-istio/") || it.GetKind() == "IstioOperator" {
			continue
		}
		if it.GetAPIVersion() == "" || it.GetKind() == "" || it.GetName() == "" {
			return nil, errors.New("a document that is neither an object nor values of a chart")
		}
		list = append(list, it)
	}
}

// shapeless are the kinds of the bundle whose fields nobody here can judge.
func (b *bundle) shapeless() []shapeless {
	var list []shapeless
	for _, it := range shapelessKinds {
		if slices.ContainsFunc(b.objects, func(o object) bool { return o.GetAPIVersion() == it.version && o.GetKind() == it.kind }) {
			list = append(list, it)
		}
	}
	return list
}
