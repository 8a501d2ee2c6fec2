// An API server with the definitions of one release of Istio.
package accept

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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
	release   release
	home      string // a folder for what kubectl remembers
	objects   dynamic.Interface
	names     metadata.Interface
	discovery discovery.DiscoveryInterface
	mapper    meta.RESTMapper
	kinds     []schema.GroupVersionResource // all that can be listed
	warnings  *warnings
	clean     map[key]bool // what is there when no bundle is
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

// openServer starts an API server.
func openServer(ctx context.Context, settings Settings, number int) (*server, error) {
	name := fmt.Sprintf("accept-%d", number)
	c, err := cluster.Start(ctx, cluster.Spec{
		Name: name, Number: number, Programs: settings.Programs, Logs: filepath.Join(settings.Logs, name),
		Pods: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}, Services: []netip.Prefix{usualRange}, NoNode: true,
		// Namespaces are ended by `endNamespace`. Their controller, five seconds late, empties by its name alone a
		// namespace that the next bundle has made anew.
		Without: []string{"namespace-controller"},
	})
	if err != nil {
		return nil, err
	}
	s := &server{Cluster: c, warnings: &warnings{}}
	if err := s.connect(); err != nil {
		c.Stop()
		return nil, err
	}
	return s, nil
}

func (s *server) connect() error {
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
	s.discovery, err = discovery.NewDiscoveryClientForConfig(quiet)
	return err
}

func (s *server) close() {
	s.Stop()
	_ = os.RemoveAll(s.home)
}

// prepare makes a release's definitions known, instead of those that were, and the ranges of Services that bundles need.
func (s *server) prepare(ctx context.Context, folder string, g group) error {
	s.release = g.release
	_ = os.RemoveAll(s.home)
	var err error
	if s.home, err = os.MkdirTemp("", "accept"); err != nil {
		return err
	}
	definitions, err := definitionsFor(folder, g)
	if err != nil {
		return err
	}
	api := s.objects.Resource(definitionsResource)
	if err := api.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return err
	}
	for _, it := range definitions {
		if err := eventually(ctx, time.Minute, func() error {
			_, err := api.Create(ctx, it, metav1.CreateOptions{FieldValidation: "Strict"})
			return err
		}); err != nil {
			return fmt.Errorf("%s: %w", it.GetName(), err)
		}
	}
	for _, it := range rangesOf(g.bundles) {
		_, err := s.objects.Resource(rangesResource).Create(ctx, it, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return eventually(ctx, time.Minute, func() error {
		if err := s.established(ctx); err != nil {
			return err
		}
		if err := s.discover(definitions); err != nil {
			return err
		}
		// Controllers make some objects of their own at first.
		before, err := s.present(ctx)
		if err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
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

// discover asks what there is to be had. It takes a moment until that is just what the definitions say.
func (s *server) discover(definitions []*unstructured.Unstructured) error {
	groups, err := restmapper.GetAPIGroupResources(s.discovery)
	if err != nil {
		return err
	}
	s.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	for _, it := range definitions {
		versions, _, _ := unstructured.NestedSlice(it.Object, "spec", "versions")
		served := 0
		for _, it := range versions {
			if it.(map[string]any)["served"] == true {
				served++
			}
		}
		group, _, _ := unstructured.NestedString(it.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(it.Object, "spec", "names", "kind")
		found, err := s.mapper.RESTMappings(schema.GroupKind{Group: group, Kind: kind})
		if err != nil {
			return err
		}
		if len(found) != served {
			return fmt.Errorf("%d of %d versions of %s are discovered", len(found), served, it.GetName())
		}
	}
	lists, err := discovery.ServerPreferredResources(s.discovery)
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
