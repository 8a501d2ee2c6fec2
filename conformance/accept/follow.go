// A runbook followed with kubectl: its commands bring the bundle, and take it away.
package accept

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"meshlatch/conformance/topology"
)

// follow does what the runbook says, from nothing, and judges what is there then, and after it was taken away. `accepted`
// is what the objects are when the server applies them.
func (s *server) follow(ctx context.Context, b *bundle, accepted map[key]*unstructured.Unstructured, left *leftOut) {
	shell, err := s.shell(b)
	if err == nil {
		err = s.live(ctx, b)
	}
	var before map[key]bool
	if err == nil {
		before, err = s.present(ctx)
	}
	if err != nil {
		b.report.Judge(b.cluster+": its runbook can be followed", err)
		return
	}
	var brings, takes, wrong []string
	run := func(c command, expect func(string) error) {
		out, err := shell(ctx, c)
		if err == nil {
			err = expect(out)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("`%s`: %v", c.text, err))
		}
	}
	last := command{}
	for _, it := range b.runbook.commands {
		switch {
		case it.leftOut != "":
			left.add(it)
		case it.step == takeAway:
			takes = append(takes, it.text)
		case strings.HasSuffix(it.text, "apply -k ."):
			// It comes after the way without kustomize, which then must have left nothing to do.
			last = it
		default:
			brings = append(brings, it.text)
			run(it, nothing)
		}
	}
	brings = append(brings, last.text)
	run(last, unchanged)
	wrong = append(wrong, s.compare(ctx, b, accepted)...)
	b.report.Judge(fmt.Sprintf("%s: %d commands of its runbook bring the same", b.cluster, len(brings)), several(wrong))

	wrong = nil
	for _, it := range b.runbook.commands {
		if it.step == takeAway && it.leftOut == "" {
			run(it, labelled)
		}
	}
	if err := s.taken(ctx, b, before); err != nil {
		wrong = append(wrong, err.Error())
	}
	b.report.Judge(fmt.Sprintf("%s: %d commands of its runbook take it away", b.cluster, len(takes)), several(wrong))
}

func nothing(string) error { return nil }

// unchanged says what an apply changed.
func unchanged(out string) error {
	var changed []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasSuffix(line, " unchanged") {
			changed = append(changed, line)
		}
	}
	return several(changed)
}

// labelled says whether a label that was to be taken away was not there.
func labelled(out string) error {
	if strings.Contains(out, "not labeled") {
		return fmt.Errorf("%s", strings.TrimSpace(out))
	}
	return nil
}

// shell gives what runs a command of a bundle's runbook, in its folder. A warning is an error.
func (s *server) shell(b *bundle) (func(context.Context, command) (string, error), error) {
	config, err := s.contexts(b)
	return func(ctx context.Context, c command) (string, error) {
		it := exec.CommandContext(ctx, "sh", "-c", c.text)
		it.Dir = b.folder
		it.Env = append(os.Environ(), "KUBECONFIG="+config, "HOME="+s.home)
		said := &strings.Builder{}
		it.Stderr = said
		began := time.Now()
		out, err := it.Output()
		fmt.Println("TIME", time.Since(began).Round(time.Millisecond), c.text, it.ProcessState.UserTime(), it.ProcessState.SystemTime())
		// `kubectl diff` has found differences.
		if it.ProcessState.ExitCode() == 1 && plainWords(c.text)[1] == "diff" && said.Len() == 0 {
			err = nil
		}
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
		}
		for line := range strings.Lines(said.String()) {
			if strings.HasPrefix(line, "Warning:") && !foreign(line) {
				return "", fmt.Errorf("%s", strings.TrimSpace(line))
			}
		}
		return string(out), nil
	}, err
}

// foreign is kubectl's warning of an object that it did not make: the namespace `default`, and what a cluster's DNS has
// before a bundle comes.
func foreign(line string) bool {
	if !strings.Contains(line, "is missing the kubectl.kubernetes.io/last-applied-configuration annotation") {
		return false
	}
	for _, it := range []string{" namespaces/default ", " configmaps/", " dnses/default "} {
		if strings.Contains(line, it) {
			return true
		}
	}
	return false
}

// compare says which objects are not there, or not as the server makes them.
func (s *server) compare(ctx context.Context, b *bundle, accepted map[key]*unstructured.Unstructured) []string {
	var wrong []string
	for _, it := range b.objects {
		api, where, err := s.in(it.Unstructured)
		var is *unstructured.Unstructured
		if err == nil {
			is, err = api.Get(ctx, it.GetName(), metav1.GetOptions{})
		}
		if err == nil && accepted[where] != nil {
			was, is := plain(it, accepted[where]), plain(it, is)
			if !reflect.DeepEqual(was, is) {
				err = fmt.Errorf("applied by the server, it is another one: %s", difference(was, is))
			}
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", it, err))
		}
	}
	return wrong
}

// plain is an object's essence, without what is another one each time it is made.
func plain(written object, o *unstructured.Unstructured) map[string]any {
	it := essence(o)
	if o.GetKind() != "Service" || o.GetAPIVersion() != "v1" {
		return it
	}
	if _, pinned, _ := unstructured.NestedString(written.Object, "spec", "clusterIP"); !pinned {
		unstructured.RemoveNestedField(it, "spec", "clusterIP")
		unstructured.RemoveNestedField(it, "spec", "clusterIPs")
	}
	unstructured.RemoveNestedField(it, "spec", "healthCheckNodePort")
	ports, _, _ := unstructured.NestedSlice(it, "spec", "ports")
	for _, port := range ports {
		delete(port.(map[string]any), "nodePort")
	}
	_ = unstructured.SetNestedSlice(it, ports, "spec", "ports")
	return it
}

// taken waits until nothing is left of a bundle but what its runbook says stays.
func (s *server) taken(ctx context.Context, b *bundle, before map[key]bool) error {
	said := func(words string) bool { return strings.Contains(b.runbook.stays, words) }
	stays := func(it key) bool {
		namespace := it.namespace
		if it.resource == namespaces.GroupResource() {
			namespace = it.name
		} else if !comesWithNamespace(it) {
			namespace = ""
		}
		switch {
		// What commands take away that are left out here: the manifest of Istio 1.5 has the namespace, and the chart of
		// 1.4 the Service that was made before it.
		case said("with the namespace `istio-system`, which the manifest of 1.5 holds"):
			if it.namespace == "istio-system" || namespace == "istio-system" {
				return true
			}
		case it == key{schema.GroupResource{Resource: "services"}, "istio-system", "istiocoredns"}:
			return true
		case it.resource.Resource == "endpointslices" && strings.HasPrefix(it.name, "istiocoredns-"):
			return true
		case it.resource.Resource == "endpoints" && it.name == "istiocoredns", it.resource.Resource == "ipaddresses":
			return strings.Contains(b.runbook.text, "10-istio/istiocoredns-service.yaml")
		}
		if namespace == "istio-system" {
			return said("`istio-system` with the secret `cacerts`")
		}
		return namespace != "" && said("the namespaces of the services") && b.has("Namespace", namespace)
	}
	err := eventually(ctx, 20*time.Second, func() error {
		now, err := s.present(ctx)
		if err != nil {
			return err
		}
		for it := range now {
			if !before[it] && stays(it) {
				delete(now, it)
			}
		}
		return differs(before, now)
	})
	if err != nil {
		return err
	}
	return s.released(ctx, b)
}

func (b *bundle) has(kind, name string) bool {
	for _, it := range b.objects {
		if it.GetKind() == kind && it.GetName() == name {
			return true
		}
	}
	return false
}

// released says whether Istio still has a hand on a namespace, or the bundle on the cluster's DNS.
func (s *server) released(ctx context.Context, b *bundle) error {
	list, err := s.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, it := range list.Items {
		for _, label := range topology.Keys(it.Labels) {
			if label == "istio-injection" || label == "istio.io/rev" {
				return fmt.Errorf("namespace %s has the label %s", it.Name, label)
			}
		}
	}
	return s.dead(ctx, b)
}
