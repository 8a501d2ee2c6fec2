// CustomResourceDefinitions: those of each release of Istio, and of its neighbours.
package accept

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// release is a release of Istio whose definitions there are.
type release struct {
	version string
	file    string
}

func releasesIn(folder string) ([]release, error) {
	files, err := filepath.Glob(filepath.Join(folder, "istio-*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no istio-*.yaml in %q; conformance/crds.sh makes the folder", folder)
	}
	var list []release
	for _, it := range files {
		version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(it), "istio-"), ".yaml")
		list = append(list, release{version, it})
	}
	return list, err
}

// nearest is the patch of the same minor that is nearest to a release. The definitions of 1.4 are in no module: those of
// 1.5 stand for them, which know more versions of the same kinds.
func nearest(list []release, istio string) (release, error) {
	var minor, patch int
	if _, err := fmt.Sscanf(istio, "1.%d.%d", &minor, &patch); err != nil {
		return release{}, fmt.Errorf("Istio %q: %w", istio, err)
	}
	if minor == 4 {
		minor = 5
	}
	best, distance := release{}, 1000
	for _, it := range list {
		var itsMinor, itsPatch int
		if _, err := fmt.Sscanf(it.version, "1.%d.%d", &itsMinor, &itsPatch); err != nil {
			return release{}, fmt.Errorf("%s: %w", it.file, err)
		}
		if d := max(patch-itsPatch, itsPatch-patch); itsMinor == minor && d < distance {
			best, distance = it, d
		}
	}
	if best.version == "" {
		return best, fmt.Errorf("no definitions of Istio 1.%d; add it to conformance/crds.sh", minor)
	}
	return best, nil
}

// neighbours are files of definitions that are not Istio's, by their API group.
var neighbours = map[string]string{
	"gateway.networking.k8s.io": "gateway-api-*.yaml",
	"external-secrets.io":       "external-secrets-*.yaml",
	"operator.openshift.io":     "openshift.yaml",
}

// shapeless is a version of a kind whose schema is not to be had: any fields will do, and the rest is judged as for others.
type shapeless struct {
	version, kind, plural, scope string
	why                          string
}

var shapelessKinds = []shapeless{
	{"external-secrets.io/v1", "ExternalSecret", "externalsecrets", "Namespaced", "of External Secrets there is no module newer than 0.9.20, which has v1beta1"},
	{"sailoperator.io/v1", "Istio", "istios", "Cluster", "there is no module of Sail's operator"},
}

// definitionsFor are the definitions of a release of Istio, and of the neighbours that bundles use.
func definitionsFor(folder string, g group) ([]*unstructured.Unstructured, error) {
	list, err := readDefinitions(g.release.file)
	if err != nil {
		return nil, err
	}
	groups := map[string]bool{}
	for _, b := range g.bundles {
		for _, it := range b.objects {
			groups[it.GroupVersionKind().Group] = true
		}
		if strings.Contains(b.runbook.text, "30-dns/apply.sh") && b.provider() == "openshift" {
			groups["operator.openshift.io"] = true
		}
	}
	for group := range maps.Keys(neighbours) {
		if !groups[group] {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(folder, neighbours[group]))
		if len(files) != 1 {
			return nil, fmt.Errorf("%d files %s in %s", len(files), neighbours[group], folder)
		}
		more, err := readDefinitions(files[0])
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	for _, it := range shapelessKinds {
		if slices.ContainsFunc(g.bundles, func(b *bundle) bool { return slices.Contains(b.shapeless(), it) }) {
			list = it.addTo(list)
		}
	}
	return list, nil
}

// readDefinitions reads a file of definitions, old ones as if they were new.
func readDefinitions(path string) ([]*unstructured.Unstructured, error) {
	objects, err := readObjects(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var list []*unstructured.Unstructured
	for _, it := range objects {
		if it.GetAPIVersion() == "apiextensions.k8s.io/v1beta1" {
			modernize(it.Object)
		}
		list = append(list, it.Unstructured)
	}
	return list, nil
}

// modernize writes a definition of apiextensions v1beta1, which no API server takes any more, as one of v1: what was said
// once for all versions is said for each. Three things differ from the API servers of that time. Fields that the schema
// does not know are refused, where v1beta1 keeps them unless `preserveUnknownFields` is false; the definitions of 1.5 do
// not say that, and in 1.6 and 1.8 all but those of EnvoyFilter and Mixer do. The schema must be structural, or the
// definition is refused. A status, of which the schemas do not speak, would be dropped; no bundle has one.
func modernize(definition map[string]any) {
	definition["apiVersion"] = "apiextensions.k8s.io/v1"
	spec := definition["spec"].(map[string]any)
	schema := map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
	if it, has := spec["validation"].(map[string]any); has {
		schema = it
	}
	for _, it := range spec["versions"].([]any) {
		version := it.(map[string]any)
		version["schema"] = runtime.DeepCopyJSON(schema)
		if it, has := spec["subresources"].(map[string]any); has {
			version["subresources"] = runtime.DeepCopyJSON(it)
		}
		if columns, has := spec["additionalPrinterColumns"].([]any); has {
			columns = runtime.DeepCopyJSONValue(columns).([]any)
			for _, it := range columns {
				column := it.(map[string]any)
				column["jsonPath"] = column["JSONPath"]
				delete(column, "JSONPath")
			}
			version["additionalPrinterColumns"] = columns
		}
	}
	for _, it := range []string{"version", "validation", "subresources", "additionalPrinterColumns", "preserveUnknownFields"} {
		delete(spec, it)
	}
}

// addTo adds the version to its definition, or makes one. It is the one that is stored: what another version says of fields
// must not count.
func (s shapeless) addTo(list []*unstructured.Unstructured) []*unstructured.Unstructured {
	group, version, _ := strings.Cut(s.version, "/")
	name := s.plural + "." + group
	one := map[string]any{"name": version, "served": true, "storage": true, "schema": map[string]any{
		"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}
	for _, it := range list {
		if it.GetName() == name {
			spec := it.Object["spec"].(map[string]any)
			for _, it := range spec["versions"].([]any) {
				it.(map[string]any)["storage"] = false
			}
			spec["versions"] = append(spec["versions"].([]any), one)
			return list
		}
	}
	return append(list, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": group, "scope": s.scope, "versions": []any{one},
			"names": map[string]any{"kind": s.kind, "listKind": s.kind + "List", "plural": s.plural, "singular": strings.ToLower(s.kind)},
		},
	}})
}
