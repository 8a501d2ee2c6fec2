// What a bundle says of names.
package dns

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// bundle is the folder of one cluster.
type bundle struct {
	suffix       string
	promised     map[string][]netip.Addr // by host
	entries      []serviceEntry
	istiocoredns netip.Addr // its pinned ClusterIP
	server       *ownServer
	stub         *stub
}

type serviceEntry struct {
	Spec struct {
		Hosts      []string `json:"hosts"`
		Addresses  []string `json:"addresses"`
		Resolution string   `json:"resolution"`
	} `json:"spec"`
}

// ownServer is the CoreDNS that the bundle brings.
type ownServer struct {
	config     *corev1.ConfigMap
	deployment *appsv1.Deployment
	service    *corev1.Service
}

// stub is what leads the suffix to its server: an object, settings, or a script that changes the live object.
type stub struct {
	provider string
	version  string
	found    object
	corefile string
	script   string
}

type object = map[string]any

// at is the value at a path, nil if there is none.
func at(o object, path ...string) any {
	var value any = o
	for _, key := range path {
		fields, _ := value.(object)
		value = fields[key]
	}
	return value
}

// data is what a ConfigMap holds.
func data(o object) map[string]string {
	texts := map[string]string{}
	fields, _ := at(o, "data").(object)
	for key, value := range fields {
		texts[key], _ = value.(string)
	}
	return texts
}

func read(folder, suffix string) (*bundle, error) {
	b := &bundle{suffix: suffix, promised: map[string][]netip.Addr{}}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch name, _ := filepath.Rel(folder, path); {
		case name == "30-dns/apply.sh":
			b.stub = &stub{script: path}
		case name == "30-dns/eks-addon.json":
			var settings struct {
				Corefile string `json:"corefile"`
			}
			if err := json.Unmarshal(text, &settings); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.stub = &stub{corefile: settings.Corefile}
		case filepath.Ext(name) == ".yaml":
			for _, document := range bytes.Split(text, []byte("\n---\n")) {
				if err := b.take(name, document); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		return nil
	})
	if err == nil && b.server != nil && (b.server.config == nil || b.server.deployment == nil || b.server.service == nil) {
		err = errors.New("the bundle's own server lacks an object")
	}
	return b, err
}

// take reads one object. A Corefile that nobody would judge is an error.
func (b *bundle) take(file string, document []byte) error {
	o := object{}
	if err := yaml.Unmarshal(document, &o); err != nil {
		return err
	}
	kind, _ := at(o, "kind").(string)
	ofServer := file == "30-dns/server.yaml"
	if ofServer && b.server == nil {
		b.server = &ownServer{}
	}
	switch {
	case ofServer && kind == "ConfigMap":
		b.server.config = &corev1.ConfigMap{}
		return yaml.Unmarshal(document, b.server.config)
	case ofServer && kind == "Deployment":
		b.server.deployment = &appsv1.Deployment{}
		return yaml.Unmarshal(document, b.server.deployment)
	case ofServer && kind == "Service":
		b.server.service = &corev1.Service{}
		return yaml.Unmarshal(document, b.server.service)
	case strings.HasPrefix(file, "30-dns/stub/") && kind != "Kustomization":
		if b.stub != nil {
			return errors.New("a second object that leads the suffix to its server")
		}
		b.stub = &stub{found: o}
	case kind == "ConfigMap":
		for key := range data(o) {
			if key == "Corefile" || key == "stubDomains" || strings.HasSuffix(key, ".server") || strings.HasSuffix(key, ".override") {
				return fmt.Errorf("nobody judges %s of this ConfigMap", key)
			}
		}
	case kind == "IstioOperator":
		if pinned, is := at(o, "spec", "addonComponents", "istiocoredns", "k8s", "service", "clusterIP").(string); is {
			return b.pin(pinned)
		}
	case kind == "Service" && at(o, "metadata", "name") == "istiocoredns":
		pinned, _ := at(o, "spec", "clusterIP").(string)
		return b.pin(pinned)
	case kind == "ServiceEntry":
		var it serviceEntry
		if err := yaml.Unmarshal(document, &it); err != nil {
			return err
		}
		b.entries = append(b.entries, it)
		return b.promise(it)
	}
	return nil
}

func (b *bundle) pin(address string) (err error) {
	b.istiocoredns, err = netip.ParseAddr(address)
	return err
}

// promise notes the hosts of the suffix with their addresses.
func (b *bundle) promise(it serviceEntry) error {
	for _, host := range it.Spec.Hosts {
		if !below(host, b.suffix) {
			continue
		}
		if len(it.Spec.Addresses) == 0 {
			return fmt.Errorf("%s has no address", host)
		}
		for _, address := range it.Spec.Addresses {
			parsed, err := netip.ParseAddr(address)
			if err != nil {
				return fmt.Errorf("%s: %w", host, err)
			}
			b.promised[host] = append(b.promised[host], parsed)
		}
	}
	return nil
}

// object is the cluster's DNS with our entry in it.
func (s *stub) object() (object, error) {
	switch {
	case s.script != "":
		return applied(s.script, live(s.provider, s.version))
	case s.found != nil:
		return s.found, nil
	default:
		return object{"data": object{"Corefile": s.corefile}}, nil
	}
}
