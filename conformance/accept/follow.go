// A runbook followed with kubectl: its commands bring the bundle, and take it away.
package accept

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	var dns *unstructured.Unstructured
	if err == nil {
		dns, err = s.haveDNS(ctx, b)
	}
	if err != nil {
		b.report.Judge(b.cluster+": its runbook can be followed", err)
		return
	}
	before := maps.Clone(s.clean)
	if dns != nil {
		_, where, _ := s.in(dns)
		before[where] = true
	}
	// run runs the commands of the steps, and counts them.
	run := func(away bool) (count int, wrong []string) {
		for _, it := range b.runbook.commands {
			if it.step == takeAway != away {
				continue
			}
			if it.leftOut != "" {
				left.add(it)
				continue
			}
			count++
			if err := shell(ctx, it); err != nil {
				wrong = append(wrong, fmt.Sprintf("`%s`: %v", it.text, err))
			}
		}
		return count, wrong
	}
	count, wrong := run(false)
	wrong = append(wrong, s.compare(ctx, b, accepted)...)
	b.report.Judge(fmt.Sprintf("%s: %d commands of its runbook bring the same", b.cluster, count), several(wrong))

	count, wrong = run(true)
	for _, err := range []error{s.taken(ctx, b, before), s.released(ctx), s.sameDNS(ctx, b, dns)} {
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	b.report.Judge(fmt.Sprintf("%s: %d commands of its runbook take it away", b.cluster, count), several(wrong))
}

// shell gives what runs a command of a bundle's runbook, in its folder. A warning is an error.
func (s *server) shell(b *bundle) (func(context.Context, command) error, error) {
	config, err := s.contexts(b)
	return func(ctx context.Context, c command) error {
		it := exec.CommandContext(ctx, "sh", "-c", c.text)
		it.Dir = b.folder
		// Half of the time of so short a program is spent on collecting garbage.
		it.Env = append(os.Environ(), "KUBECONFIG="+config, "HOME="+s.home, "GOGC=off")
		said := &strings.Builder{}
		it.Stderr = said
		out, err := it.Output()
		// `kubectl diff` has found differences.
		if it.ProcessState.ExitCode() == 1 && plainWords(c.text)[1] == "diff" && said.Len() == 0 {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
		}
		for line := range strings.Lines(said.String()) {
			if strings.HasPrefix(line, "Warning:") && !foreign(line) {
				return errors.New(strings.TrimSpace(line))
			}
		}
		// A label to be taken away was not there.
		if strings.Contains(string(out), "not labeled") {
			return errors.New(strings.TrimSpace(string(out)))
		}
		return nil
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
	// The chart of Istio 1.4 has this Service, too, and takes it away by a command that is left out here.
	if strings.Contains(b.runbook.text, "10-istio/istiocoredns-service.yaml") {
		if err := s.delete(ctx, key{schema.GroupResource{Resource: "services"}, "istio-system", "istiocoredns"}); err != nil {
			return err
		}
	}
	return eventually(ctx, 20*time.Second, func() error {
		now, err := s.present(ctx)
		if err != nil {
			return err
		}
		for it := range now {
			if !before[it] && b.stays(it) {
				delete(now, it)
			}
		}
		return differs(before, now)
	})
}

// stays says whether something may be there after a bundle was taken away, by the words of its runbook.
func (b *bundle) stays(it key) bool {
	said := func(words string) bool { return strings.Contains(b.runbook.stays, words) }
	namespace := it.namespace
	if it.resource == namespaces.GroupResource() {
		namespace = it.name
	}
	// It goes with all that is in it, by a command that is left out here.
	if namespace == "istio-system" && said("with the namespace `istio-system`, which the manifest of 1.5 holds") {
		return true
	}
	if it.resource != namespaces.GroupResource() && !comesWithNamespace(it) {
		return false
	}
	if namespace == "istio-system" {
		return said("the namespaces of the services, `istio-system`")
	}
	return said("the namespaces of the services") && b.has("Namespace", namespace)
}

func (b *bundle) has(kind, name string) bool {
	for _, it := range b.objects {
		if it.GetKind() == kind && it.GetName() == name {
			return true
		}
	}
	return false
}

// released says whether Istio would still inject sidecars somewhere.
func (s *server) released(ctx context.Context) error {
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
	return nil
}
