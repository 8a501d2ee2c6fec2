// Objects, applied by the server: accepted, and a second time the same.
package accept

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"meshlatch/conformance/topology"
)

// accept applies a bundle's objects twice, in the order of its files. It returns what they then are.
func (s *server) accept(ctx context.Context, b *bundle) (map[key]*unstructured.Unstructured, error) {
	var wrong []string
	note := func(o object, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", o, err))
		}
	}
	for _, it := range b.objects {
		_, err := s.apply(ctx, it)
		if err == nil {
			err = b.elsewhere(it)
		}
		note(it, err)
	}
	if wrong != nil {
		return nil, several(wrong)
	}
	accepted := map[key]*unstructured.Unstructured{}
	for _, it := range b.objects {
		if err := s.settled(ctx, it); err != nil {
			note(it, err)
			continue
		}
		again, err := s.again(ctx, it)
		note(it, err)
		if _, where, err := s.in(it.Unstructured); err == nil {
			accepted[where] = again
		}
	}
	return accepted, several(wrong)
}

// apply applies one object, as it is written.
func (s *server) apply(ctx context.Context, o object) (*unstructured.Unstructured, error) {
	api, _, err := s.in(o.Unstructured)
	if err != nil {
		return nil, err
	}
	s.warnings.take()
	it, err := api.Patch(ctx, o.GetName(), types.ApplyPatchType, o.text, metav1.PatchOptions{FieldManager: "accept", FieldValidation: "Strict"})
	if said := s.warnings.take(); err == nil && said != nil {
		err = fmt.Errorf("warning: %s", strings.Join(said, "; "))
	}
	return it, err
}

// settled waits until controllers have done with an object: a Deployment has all its pods, which nobody runs.
func (s *server) settled(ctx context.Context, o object) error {
	if o.GetKind() != "Deployment" {
		return nil
	}
	return eventually(ctx, 20*time.Second, func() error {
		it, err := s.Client.AppsV1().Deployments(o.GetNamespace()).Get(ctx, o.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if it.Status.ObservedGeneration == it.Generation && it.Status.Replicas == *it.Spec.Replicas {
			return nil
		}
		for _, it := range it.Status.Conditions {
			if it.Type == "ReplicaFailure" {
				return fmt.Errorf("no pods: %s", it.Message)
			}
		}
		return fmt.Errorf("%d of %d pods", it.Status.Replicas, *it.Spec.Replicas)
	})
}

// again applies an object that is there already. Nothing may change; what a controller writes meanwhile is tried again.
func (s *server) again(ctx context.Context, o object) (*unstructured.Unstructured, error) {
	api, _, err := s.in(o.Unstructured)
	if err != nil {
		return nil, err
	}
	var after *unstructured.Unstructured
	for range 20 {
		before, err := api.Get(ctx, o.GetName(), metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if after, err = s.apply(ctx, o); err != nil {
			return nil, err
		}
		if before.GetGeneration() != after.GetGeneration() {
			return after, fmt.Errorf("a second time: generation %d becomes %d", before.GetGeneration(), after.GetGeneration())
		}
		if before.GetResourceVersion() == after.GetResourceVersion() {
			return after, nil
		}
		if is, was := essence(after), essence(before); !reflect.DeepEqual(is, was) {
			return after, fmt.Errorf("a second time: %s", difference(was, is))
		}
		time.Sleep(50 * time.Millisecond)
	}
	return after, fmt.Errorf("a second time: its resourceVersion changes")
}

// essence is an object without what the API server and controllers write.
func essence(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	delete(o.Object, "status")
	for _, it := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(o.Object, "metadata", it)
	}
	for _, it := range []string{"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"} {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations", it)
	}
	if annotations, _, _ := unstructured.NestedMap(o.Object, "metadata", "annotations"); len(annotations) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
	return o.Object
}

// difference names the first place where two values differ.
func difference(was, is any) string {
	before, both := was.(map[string]any)
	after, too := is.(map[string]any)
	if both && too {
		all := map[string]any{}
		for name := range before {
			all[name] = nil
		}
		for name := range after {
			all[name] = nil
		}
		for _, name := range topology.Keys(all) {
			if !reflect.DeepEqual(before[name], after[name]) {
				return strings.TrimSuffix(name+"."+difference(before[name], after[name]), ".")
			}
		}
	}
	text := func(it any) string {
		out, _ := json.Marshal(it)
		return string(out)
	}
	return fmt.Sprintf(" %s becomes %s", text(was), text(is))
}
