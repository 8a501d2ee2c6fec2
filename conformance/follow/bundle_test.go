// A cluster's folder as the cluster would have it: the objects that are applied, and what Istio's own
// charts make of the install files.
package follow

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/operator/pkg/helm"
	"istio.io/istio/operator/pkg/manifest"
	"istio.io/istio/operator/pkg/render"
	"istio.io/istio/operator/pkg/util/clog"
	"istio.io/istio/operator/pkg/values"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	meshes "istio.io/istio/pkg/config/mesh"
	kubelib "istio.io/istio/pkg/kube"
)

const systemNamespace = "istio-system"

// bundle is what one cluster is given.
type bundle struct {
	namespaces  map[string]*corev1.Namespace
	services    []*corev1.Service
	deployments []*appsv1.Deployment
	others      []runtime.Object
	configs     []config.Config
	texts       map[string]string // of the applied objects, by file

	mesh         *meshconfig.MeshConfig
	meshNetworks *meshconfig.MeshNetworks
	network      string // that of injected pods
	dualStack    bool   // whether istiod is told of it
}

func readBundle(dir string) (*bundle, error) {
	b := &bundle{namespaces: map[string]*corev1.Namespace{}, texts: map[string]string{}, mesh: meshes.DefaultMeshConfig()}
	err := filepath.WalkDir(dir, func(path string, it fs.DirEntry, err error) error {
		if err != nil || it.IsDir() || filepath.Ext(path) != ".yaml" || it.Name() == "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Base(filepath.Dir(path)) == "10-istio" {
			err = b.install(path, text)
		} else if !strings.Contains(path, "/05-secrets/") && !strings.Contains(path, "/30-dns/") {
			b.texts[path] = string(text)
			err = b.read(string(text))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	return b, err
}

// read takes the objects of a file.
func (b *bundle) read(text string) error {
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return err
		}
		switch {
		case head.Kind == "":
		case strings.Contains(head.APIVersion, ".istio.io/"):
			configs, _, err := crd.ParseInputs(document)
			if err != nil {
				return err
			}
			b.configs = append(b.configs, configs...)
		default:
			object, _, err := kubelib.IstioCodec.UniversalDeserializer().Decode([]byte(document), nil, nil)
			if err != nil {
				return err
			}
			b.add(object)
		}
	}
	return nil
}

func (b *bundle) add(object runtime.Object) {
	switch it := object.(type) {
	case *corev1.Namespace:
		b.namespaces[it.Name] = it
	case *corev1.Service:
		b.services = append(b.services, it)
	case *appsv1.Deployment:
		b.deployments = append(b.deployments, it)
	default:
		b.others = append(b.others, it)
	}
}

// install renders an install file: an IstioOperator, an Istio of Sail, or the values of a chart.
func (b *bundle) install(path string, text []byte) error {
	vals, err := values.MapFromYaml(text)
	if err != nil {
		return err
	}
	kind, _ := vals["kind"].(string)
	name := strings.TrimSuffix(filepath.Base(path), ".yaml")
	var manifests []manifest.Manifest
	switch {
	case rendered[path] != nil:
		manifests = rendered[path]
	case kind == "IstioOperator":
		manifests, err = operator(path)
	case kind == "Istio":
		inner, _ := vals.GetPathMap("spec.values")
		manifests, err = chart("istiod", "istio-control/istio-discovery", inner)
	case kind != "":
		err = fmt.Errorf("nobody renders a %s", kind)
	case name == "istiod":
		manifests, err = chart(name, "istio-control/istio-discovery", vals)
	default:
		manifests, err = chart(name, "gateway", vals)
	}
	if err != nil {
		return err
	}
	rendered[path] = manifests
	return b.take(manifests)
}

// rendered is what came of an install file, which every case reads twice.
var rendered = map[string][]manifest.Manifest{}

func operator(path string) ([]manifest.Manifest, error) {
	var said bytes.Buffer
	sets, _, err := render.GenerateManifest([]string{path}, nil, false, nil, clog.NewConsoleLogger(&said, &said, nil))
	if err != nil {
		return nil, err
	}
	if said.Len() > 0 {
		return nil, fmt.Errorf("istioctl says: %s", said.String())
	}
	var all []manifest.Manifest
	for _, set := range sets {
		all = append(all, set.Manifests...)
	}
	return all, nil
}

func chart(release, chart string, vals values.Map) ([]manifest.Manifest, error) {
	manifests, warnings, err := helm.Render(release, systemNamespace, chart, values.MakeMap(vals, "spec", "values"), nil)
	if err == nil && len(warnings) > 0 {
		err = fmt.Errorf("the chart says: %v", warnings)
	}
	return manifests, err
}

// take keeps what matters of the objects that a chart gives.
func (b *bundle) take(manifests []manifest.Manifest) error {
	for _, it := range manifests {
		switch it.GetKind() + "/" + it.GetName() {
		case "ConfigMap/istio":
			if err := b.takeMesh(it); err != nil {
				return err
			}
			continue
		case "ConfigMap/istio-sidecar-injector":
			var data struct {
				Data struct{ Values string } `json:"data"`
			}
			var injected struct {
				Global struct{ Network string } `json:"global"`
			}
			if err := yaml.Unmarshal([]byte(it.Content), &data); err != nil {
				return err
			}
			if err := yaml.Unmarshal([]byte(data.Data.Values), &injected); err != nil {
				return err
			}
			b.network = injected.Global.Network
			continue
		}
		if it.GetKind() != "Service" && it.GetKind() != "Deployment" {
			continue
		}
		object, _, err := kubelib.IstioCodec.UniversalDeserializer().Decode([]byte(it.Content), nil, nil)
		if err != nil {
			return err
		}
		if d, is := object.(*appsv1.Deployment); is && d.Name == "istiod" {
			b.dualStack = envOf(d)["ISTIO_DUAL_STACK"] == "true"
			continue
		}
		if s, is := object.(*corev1.Service); is && s.Namespace == "" {
			s.Namespace = systemNamespace
		}
		if d, is := object.(*appsv1.Deployment); is && d.Namespace == "" {
			d.Namespace = systemNamespace
		}
		b.add(object)
	}
	return nil
}

func (b *bundle) takeMesh(it manifest.Manifest) error {
	var data struct {
		Data struct{ Mesh, MeshNetworks string } `json:"data"`
	}
	if err := yaml.Unmarshal([]byte(it.Content), &data); err != nil {
		return err
	}
	var err error
	if b.mesh, err = meshes.ApplyMeshConfigDefaults(data.Data.Mesh); err != nil {
		return err
	}
	if strings.TrimSpace(data.Data.MeshNetworks) == "networks: {}" {
		return nil
	}
	b.meshNetworks, err = meshes.ParseMeshNetworks(data.Data.MeshNetworks)
	return err
}

// envOf are the plain variables of a Deployment's containers.
func envOf(d *appsv1.Deployment) map[string]string {
	all := map[string]string{}
	for _, container := range d.Spec.Template.Spec.Containers {
		for _, it := range container.Env {
			all[it.Name] = it.Value
		}
	}
	return all
}

func (b *bundle) dnsCapture() bool {
	return b.mesh.GetDefaultConfig().GetProxyMetadata()["ISTIO_META_DNS_CAPTURE"] == "true"
}
