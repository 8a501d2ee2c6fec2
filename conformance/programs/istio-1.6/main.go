// Istio 1.6: `istioctl` with its commands, and `pilot`, which answers a question (conformance/old/pilot).
package main

import (
	"errors"
	"os"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	metadata "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/cache"

	"istio.io/istio/istioctl/cmd"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/plugin"
	v2 "istio.io/istio/pilot/pkg/proxy/envoy/v2"
	"istio.io/istio/pilot/pkg/serviceregistry/aggregate"
	"istio.io/istio/pilot/pkg/serviceregistry/external"
	"istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/collections"

	"meshlatch/conformance/old/pilot"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "pilot" {
		pilot.Main(pilot.V2, start)
		return
	}
	if err := cmd.GetRootCmd(os.Args[1:]).Execute(); err != nil {
		os.Exit(cmd.GetExitCode(err))
	}
}

// start does what pilot's bootstrap does, with objects in memory for those of an API server.
func start(q *pilot.Question, refuse func(string, error), server *grpc.Server) error {
	settings, err := mesh.ApplyMeshConfigDefaults(q.Mesh)
	if err != nil {
		return err
	}
	var objects, nodes []runtime.Object
	pilot.Each(q.Kubernetes, refuse, func(text string) error {
		it, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(text), nil, nil)
		if node, is := it.(*corev1.Node); is {
			nodes = append(nodes, &metav1.PartialObjectMetadata{TypeMeta: node.TypeMeta, ObjectMeta: node.ObjectMeta})
		}
		if err == nil {
			objects = append(objects, it)
		}
		return err
	})

	config := memory.NewController(memory.Make(collections.Pilot))
	services := aggregate.NewController()
	env := &model.Environment{
		ServiceDiscovery: services,
		PushContext:      model.NewPushContext(),
		IstioConfigStore: model.MakeIstioStore(config),
		Watcher:          mesh.NewFixedWatcher(settings),
		NetworksWatcher:  mesh.NewFixedNetworksWatcher(nil),
	}
	discovery := v2.NewDiscoveryServer(env, []string{plugin.Authn, plugin.Authz, plugin.Health, plugin.Mixer})
	// Of nodes this pilot reads no more than their metadata.
	known := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(known); err != nil {
		return err
	}
	kube := controller.NewController(fake.NewSimpleClientset(objects...), metadata.NewSimpleMetadataClient(known, nodes...), controller.Options{
		ResyncPeriod:    time.Minute,
		DomainSuffix:    q.Domain,
		ClusterID:       features.ClusterName.Get(),
		Metrics:         env,
		XDSUpdater:      discovery,
		NetworksWatcher: env.NetworksWatcher,
	})
	services.AddRegistry(kube)
	entries := external.NewServiceDiscovery(config, env.IstioConfigStore, discovery)
	services.AddRegistry(entries)
	if err := kube.AppendInstanceHandler(entries.GetForeignServiceInstanceHandler()); err != nil {
		return err
	}
	stop := make(chan struct{})
	go config.Run(stop)
	pilot.Each(q.Istio, refuse, func(text string) error {
		found, unknown, err := crd.ParseInputs(text)
		if err == nil && len(unknown) > 0 {
			err = errors.New("an unknown kind")
		}
		for i := 0; i < len(found) && err == nil; i++ {
			_, err = config.Create(found[i])
		}
		return err
	})
	discovery.Start(stop)
	go services.Run(stop)
	if !cache.WaitForCacheSync(stop, kube.HasSynced) {
		return errors.New("the registry does not come up")
	}
	// What is still queued comes before this.
	time.Sleep(time.Second)
	discovery.Push(&model.PushRequest{Full: true})
	discovery.Register(server)
	return nil
}
