// Istio 1.8: `istioctl` with its commands, and `pilot`, which answers a question (conformance/old/pilot).
package main

import (
	"errors"
	"os"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"

	"istio.io/istio/istioctl/cmd"
	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/serviceregistry/aggregate"
	"istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pilot/pkg/serviceregistry/serviceentry"
	"istio.io/istio/pilot/pkg/xds"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/kube"

	"meshlatch/conformance/old/pilot"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "pilot" {
		pilot.Main(pilot.V3, start)
		return
	}
	err := cmd.ConfigAndEnvProcessing()
	if err == nil {
		err = cmd.GetRootCmd(os.Args[1:]).Execute()
	}
	if err != nil {
		os.Exit(cmd.GetExitCode(err))
	}
}

// start does what pilot's bootstrap does, with objects in memory for those of an API server.
func start(q *pilot.Question, refuse func(string, error), server *grpc.Server) error {
	settings, err := mesh.ApplyMeshConfigDefaults(q.Mesh)
	if err != nil {
		return err
	}
	var objects []runtime.Object
	pilot.Each(q.Kubernetes, refuse, func(text string) error {
		it, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(text), nil, nil)
		if err == nil {
			objects = append(objects, it)
		}
		return err
	})

	config := memory.NewController(memory.Make(collections.Pilot))
	services := aggregate.NewController(aggregate.Options{})
	env := &model.Environment{
		ServiceDiscovery: services,
		PushContext:      model.NewPushContext(),
		IstioConfigStore: model.MakeIstioStore(config),
		Watcher:          mesh.NewFixedWatcher(settings),
		NetworksWatcher:  mesh.NewFixedNetworksWatcher(nil),
	}
	discovery := xds.NewDiscoveryServer(env, bootstrap.DefaultPlugins, "istiod")
	client := kube.NewFakeClient(objects...)
	pods := controller.NewController(client, controller.Options{
		ResyncPeriod:    time.Minute,
		DomainSuffix:    q.Domain,
		ClusterID:       features.ClusterName,
		Metrics:         env,
		XDSUpdater:      discovery,
		NetworksWatcher: env.NetworksWatcher,
	})
	entries := serviceentry.NewServiceDiscovery(config, env.IstioConfigStore, discovery)
	if err := pods.AppendWorkloadHandler(entries.WorkloadInstanceHandler); err != nil {
		return err
	}
	if err := entries.AppendWorkloadHandler(pods.WorkloadInstanceHandler); err != nil {
		return err
	}
	services.AddRegistry(pods)
	services.AddRegistry(entries)
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
	client.RunAndWait(stop)
	if !cache.WaitForCacheSync(stop, services.HasSynced) {
		return errors.New("the registry does not come up")
	}
	entries.ResyncEDS()
	// What is still queued comes before this.
	time.Sleep(time.Second)
	discovery.Push(&model.PushRequest{Full: true})
	discovery.CachesSynced()
	discovery.Register(server)
	return nil
}
