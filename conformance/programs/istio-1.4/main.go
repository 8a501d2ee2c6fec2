// Istio 1.4: `pilot`, which answers a question (conformance/old/pilot), and `template CHART VALUES`, which
// renders a chart as the Helm that this release was made with: no Helm of today takes its charts.
package main

import (
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"path"
	"strings"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/helm/pkg/chartutil"
	"k8s.io/helm/pkg/proto/hapi/chart"
	"k8s.io/helm/pkg/renderutil"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/networking/plugin"
	v2 "istio.io/istio/pilot/pkg/proxy/envoy/v2"
	"istio.io/istio/pilot/pkg/serviceregistry"
	"istio.io/istio/pilot/pkg/serviceregistry/aggregate"
	"istio.io/istio/pilot/pkg/serviceregistry/external"
	"istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schemas"

	"meshlatch/conformance/old/pilot"
)

func main() {
	if len(os.Args) > 3 && os.Args[1] == "template" {
		if err := template(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pilot.Main(pilot.V2, start)
}

// template prints what a chart makes of values.
func template(from, values string) error {
	it, err := chartutil.Load(from)
	if err != nil {
		return err
	}
	raw, err := ioutil.ReadFile(values)
	if err != nil {
		return err
	}
	made, err := renderutil.Render(it, &chart.Config{Raw: string(raw)}, renderutil.Options{
		ReleaseOptions: chartutil.ReleaseOptions{Name: "istio", Namespace: "istio-system", IsInstall: true},
	})
	for name, text := range made {
		if base := path.Base(name); base != "NOTES.txt" && !strings.HasPrefix(base, "_") {
			fmt.Printf("---\n# %s\n%s\n", name, text)
		}
	}
	return err
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

	config := memory.NewController(memory.Make(schemas.Istio))
	services := aggregate.NewController()
	env := &model.Environment{
		ServiceDiscovery: services,
		PushContext:      model.NewPushContext(),
		IstioConfigStore: model.MakeIstioStore(config),
		Mesh:             settings,
	}
	// This pilot always calls its own cluster so.
	name := string(serviceregistry.KubernetesRegistry)
	kube := controller.NewController(fake.NewSimpleClientset(objects...), controller.Options{
		ResyncPeriod: time.Minute,
		DomainSuffix: q.Domain,
		ClusterID:    name,
		TrustDomain:  settings.TrustDomain,
	})
	services.AddRegistry(aggregate.Registry{
		Name: serviceregistry.KubernetesRegistry, ClusterID: name, ServiceDiscovery: kube, Controller: kube,
	})
	entries := external.NewServiceDiscovery(config, env.IstioConfigStore)
	services.AddRegistry(aggregate.Registry{Name: "ServiceEntries", ServiceDiscovery: entries, Controller: entries})
	generator := core.NewConfigGenerator([]string{plugin.Authn, plugin.Authz, plugin.Health, plugin.Mixer})
	discovery := v2.NewDiscoveryServer(env, generator, services, kube, config)
	kube.Env = env
	kube.InitNetworkLookup(nil)
	kube.XDSUpdater = discovery
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
