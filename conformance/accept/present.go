// What is on an API server, and how it becomes empty again.
package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// key names what is on the server.
type key struct {
	resource  schema.GroupResource
	namespace string
	name      string
}

func (k key) String() string {
	if k.namespace == "" {
		return k.resource.String() + " " + k.name
	}
	return k.resource.String() + " " + k.namespace + "/" + k.name
}

// present is all that there is.
func (s *server) present(ctx context.Context) (map[key]bool, error) {
	all := map[key]bool{}
	for _, resource := range s.kinds {
		list, err := s.names.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resource.Resource, err)
		}
		for _, it := range list.Items {
			all[key{resource.GroupResource(), it.Namespace, it.Name}] = true
		}
	}
	return all, nil
}

// differs says what one has and the other has not.
func differs(before, after map[key]bool) error {
	var list []string
	for it := range after {
		if !before[it] {
			list = append(list, it.String()+" is left")
		}
	}
	for it := range before {
		if !after[it] {
			list = append(list, it.String()+" is gone")
		}
	}
	slices.Sort(list)
	return several(list)
}

// sweep takes away whatever is there of a bundle, and returns when the server is as it was.
func (s *server) sweep(ctx context.Context) error {
	if err := s.resetDefault(ctx); err != nil {
		return err
	}
	return eventually(ctx, time.Minute, func() error {
		now, err := s.present(ctx)
		if err != nil {
			return err
		}
		rest := differs(s.clean, now)
		inside := map[string]bool{}
		for it := range now {
			if !s.clean[it] && it.resource != namespaces.GroupResource() && !comesWithNamespace(it) {
				inside[it.namespace] = true
				rest = errors.Join(rest, s.delete(ctx, it))
			}
		}
		for it := range now {
			if !s.clean[it] && it.resource == namespaces.GroupResource() && !inside[it.name] {
				rest = errors.Join(rest, s.endNamespace(ctx, it.name))
			}
		}
		return rest
	})
}

// comesWithNamespace are the two objects that Kubernetes makes in each namespace.
func comesWithNamespace(it key) bool {
	return it.resource == schema.GroupResource{Resource: "serviceaccounts"} && it.name == "default" ||
		it.resource == schema.GroupResource{Resource: "configmaps"} && it.name == "kube-root-ca.crt"
}

func (s *server) delete(ctx context.Context, it key) error {
	at := slices.IndexFunc(s.kinds, func(kind schema.GroupVersionResource) bool { return kind.GroupResource() == it.resource })
	background := metav1.DeletePropagationBackground
	now := int64(0)
	err := s.names.Resource(s.kinds[at]).Namespace(it.namespace).Delete(ctx, it.name, metav1.DeleteOptions{PropagationPolicy: &background, GracePeriodSeconds: &now})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// endNamespace ends a namespace in which there is nothing of a bundle, in the place of its controller, which would wait
// for five seconds, and there are hundreds.
func (s *server) endNamespace(ctx context.Context, name string) error {
	api := s.Client.CoreV1()
	if err := api.Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	for _, err := range []error{
		api.ServiceAccounts(name).Delete(ctx, "default", metav1.DeleteOptions{}),
		api.ConfigMaps(name).Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	it, err := api.Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		it.Spec.Finalizers = nil
		_, err = api.Namespaces().Finalize(ctx, it, metav1.UpdateOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// resetDefault makes the namespace `default`, which cannot be deleted, what it was.
func (s *server) resetDefault(ctx context.Context) error {
	return eventually(ctx, 10*time.Second, func() error {
		it, err := s.Client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
		if err != nil {
			return err
		}
		it.Labels, it.Annotations = map[string]string{"kubernetes.io/metadata.name": "default"}, nil
		it.ManagedFields = []metav1.ManagedFieldsEntry{{}} // which means none
		_, err = s.Client.CoreV1().Namespaces().Update(ctx, it, metav1.UpdateOptions{})
		return err
	})
}

// several makes an error of some lines; none is no error.
func several(lines []string) error {
	const most = 8
	if len(lines) == 0 {
		return nil
	}
	if rest := len(lines) - most; rest > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", rest))
	}
	const indent = "\n        "
	text := strings.ReplaceAll(strings.Join(lines, "\n"), "\n", indent)
	if len(lines) > 1 {
		text = indent + text
	}
	return errors.New(text)
}
