// An API server with the definitions of one release of Istio, and what is on it.
package accept

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// server is a running API server, with controllers and without a node.
type server struct {
	*cluster.Cluster
	release  release
	home     string // a folder for what kubectl remembers
	objects  dynamic.Interface
	names    metadata.Interface
	mapper   meta.RESTMapper
	kinds    []schema.GroupVersionResource // all that can be listed
	warnings *warnings
	clean    map[key]bool // what is there when no bundle is
}

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

// warnings are what the API server says beside its answers.
type warnings struct{ said []string }

// HandleWarningHeader takes a warning.
func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.said = append(w.said, text) }

func (w *warnings) take() []string {
	said := w.said
	w.said = nil
	return said
}

// openServer starts an API server for bundles.
func openServer(ctx context.Context, settings Settings, of release, number int, bundles []*bundle) (*server, error) {
	name := "istio-" + of.version
	c, err := cluster.Start(ctx, cluster.Spec{
		Name: name, Number: number, Programs: settings.Programs, Logs: filepath.Join(settings.Logs, name),
		Pods: netip.MustParsePrefix("10.244.0.0/16"), Services: netip.MustParsePrefix("10.96.0.0/16"), NoNode: true,
	})
	if err != nil {
		return nil, err
	}
	s := &server{Cluster: c, release: of, warnings: &warnings{}}
	if s.home, err = os.MkdirTemp("", "accept"); err != nil {
		return nil, err
	}
	if err = s.prepare(ctx, settings.Definitions, bundles); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) close() {
	s.Stop()
	_ = os.RemoveAll(s.home)
}

// prepare makes definitions and ranges of Services known.
func (s *server) prepare(ctx context.Context, folder string, bundles []*bundle) error {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	config.WarningHandler = s.warnings
	if s.objects, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	quiet := rest.CopyConfig(config)
	quiet.WarningHandler = rest.NoWarnings{}
	if s.names, err = metadata.NewForConfig(quiet); err != nil {
		return err
	}
	definitions, err := definitionsFor(folder, s.release, bundles)
	if err != nil {
		return err
	}
	for _, it := range definitions {
		if _, err := s.objects.Resource(definitionsResource).Create(ctx, it, metav1.CreateOptions{FieldValidation: "Strict"}); err != nil {
			return fmt.Errorf("%s: %w", it.GetName(), err)
		}
	}
	for i, it := range ranges(bundles) {
		it := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
			"metadata": map[string]any{"name": fmt.Sprintf("range-%d", i)}, "spec": map[string]any{"cidrs": []any{it}}}}
		if _, err := s.objects.Resource(rangesResource).Create(ctx, it, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return eventually(ctx, time.Minute, func() error {
		if err := s.established(ctx); err != nil {
			return err
		}
		if err := s.discover(config, definitions); err != nil {
			return err
		}
		// Controllers make some objects of their own at first.
		before, err := s.present(ctx)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		if s.clean, err = s.present(ctx); err == nil {
			err = differs(before, s.clean)
		}
		return err
	})
}

var (
	definitionsResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	rangesResource      = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "servicecidrs"}
	namespaces          = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// ranges are those of Services that topologies give, for pinned ClusterIPs.
func ranges(bundles []*bundle) []any {
	var list []any
	for _, b := range bundles {
		for _, it := range b.topology.Ranges.Services {
			if p, err := netip.ParsePrefix(it); err == nil && p.Addr().Is4() && !slices.Contains(list, any(it)) {
				list = append(list, it)
			}
		}
	}
	return list
}

// established says which definition or range is not in force yet.
func (s *server) established(ctx context.Context) error {
	for resource, condition := range map[schema.GroupVersionResource]string{definitionsResource: "Established", rangesResource: "Ready"} {
		list, err := s.objects.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, it := range list.Items {
			conditions, _, _ := unstructured.NestedSlice(it.Object, "status", "conditions")
			if !slices.ContainsFunc(conditions, func(it any) bool {
				c := it.(map[string]any)
				return c["type"] == condition && c["status"] == "True"
			}) {
				return fmt.Errorf("%s is not %s: %v", it.GetName(), condition, conditions)
			}
		}
	}
	return nil
}

// discover asks what can be asked, until all definitions are part of it.
func (s *server) discover(config *rest.Config, definitions []*unstructured.Unstructured) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	groups, err := restmapper.GetAPIGroupResources(client)
	if err != nil {
		return err
	}
	s.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	for _, it := range definitions {
		group, _, _ := unstructured.NestedString(it.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(it.Object, "spec", "names", "kind")
		if _, err := s.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind}); err != nil {
			return err
		}
	}
	lists, err := discovery.ServerPreferredResources(client)
	if err != nil {
		return err
	}
	resources, err := discovery.GroupVersionResources(discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists))
	if err != nil {
		return err
	}
	s.kinds = nil
	for it := range resources {
		// What the API server and its controllers say of themselves comes and goes.
		if it.Resource != "events" && it.Resource != "leases" {
			s.kinds = append(s.kinds, it)
		}
	}
	return nil
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

// several makes an error of some lines; none is no error.
func several(lines []string) error {
	const most = 8
	if len(lines) == 0 {
		return nil
	}
	if rest := len(lines) - most; rest > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", rest))
	}
	if len(lines) == 1 {
		return errors.New(lines[0])
	}
	return errors.New("\n        " + strings.Join(lines, "\n        "))
}

// in finds where an object lives on the server.
func (s *server) in(o *unstructured.Unstructured) (dynamic.ResourceInterface, key, error) {
	kind := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, key{}, err
	}
	resource := s.objects.Resource(mapping.Resource)
	where := key{mapping.Resource.GroupResource(), "", o.GetName()}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		if o.GetNamespace() != "" {
			return nil, key{}, fmt.Errorf("a %s has no namespace", kind.Kind)
		}
		return resource, where, nil
	}
	if o.GetNamespace() == "" {
		return nil, key{}, fmt.Errorf("a %s has a namespace, and none is written", kind.Kind)
	}
	where.namespace = o.GetNamespace()
	return resource.Namespace(o.GetNamespace()), where, nil
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
		inside := map[string]int{}
		for it := range now {
			if !s.clean[it] && !comesWithNamespace(it) {
				inside[it.namespace]++
			}
		}
		for it := range now {
			if s.clean[it] {
				continue
			}
			if it.resource == namespaces.GroupResource() && inside[it.name] == 0 {
				err = errors.Join(err, s.endNamespace(ctx, it.name))
			} else if it.resource != namespaces.GroupResource() && !comesWithNamespace(it) {
				err = errors.Join(err, s.delete(ctx, it))
			}
		}
		if err != nil {
			return err
		}
		if now, err = s.present(ctx); err != nil {
			return err
		}
		return differs(s.clean, now)
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

// endNamespace ends a namespace in which there is nothing of a bundle. Its controller would do that, too, five seconds
// after it was asked to, and there are hundreds.
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

// contexts writes a kubeconfig in which the server goes by the name of a bundle's cluster, and returns its path. No context
// is the current one: a command that names none must not work.
func (s *server) contexts(b *bundle) (string, error) {
	config, err := clientcmd.LoadFromFile(s.Kubeconfig)
	if err != nil {
		return "", err
	}
	for _, name := range topology.Keys(config.Contexts) {
		config.Contexts[b.cluster] = config.Contexts[name]
	}
	config.CurrentContext = ""
	path := filepath.Join(s.home, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// eventually tries until it works, or the time is over; then it says why the last try failed.
func eventually(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
