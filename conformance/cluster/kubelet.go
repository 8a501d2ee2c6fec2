// The kubelet: it makes pods run on the only node of a cluster.
package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// kubelet does what a kubelet, a scheduler and a cloud's load balancers do, as far as bundles need it:
// it binds pods to the node, runs their containers in the order of the API (sidecars, init containers,
// hooks, probes), and says how they are. Left out are liveness probes, limits, refreshed tokens and
// ConfigMaps that change under a running pod.
type kubelet struct {
	cluster *Cluster
	context context.Context

	mutex  sync.Mutex
	pods   map[types.UID]*pod
	number int
}

// join makes the node known and starts to look after its pods.
func (c *Cluster) join(ctx context.Context) error {
	k := &kubelet{cluster: c, context: ctx, pods: map[types.UID]*pod{}}
	c.kubelet = k
	if err := k.register(); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(c.Client, 0)
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(it any) { k.see(it.(*corev1.Pod)) },
		UpdateFunc: func(_, it any) { k.see(it.(*corev1.Pod)) },
		DeleteFunc: func(it any) {
			if last, ok := it.(cache.DeletedFinalStateUnknown); ok {
				it = last.Obj
			}
			k.lose(it.(*corev1.Pod))
		},
	})
	if err != nil {
		return err
	}
	_, err = factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(it any) { k.balance(it.(*corev1.Service)) },
		UpdateFunc: func(_, it any) { k.balance(it.(*corev1.Service)) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	return nil
}

func (k *kubelet) register() error {
	c := k.cluster
	about := map[string]string{"kubernetes.io/hostname": c.node.namespace, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
	for i, part := range strings.Split(c.Locality, "/") {
		if part != "" && i < 3 {
			about[[]string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}[i]] = part
		}
	}
	much := corev1.ResourceList{"cpu": resource.MustParse("1000"), "memory": resource.MustParse("1000Gi"), "pods": resource.MustParse("10000")}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: c.node.namespace, Labels: about}}
	node, err := c.Client.CoreV1().Nodes().Create(k.context, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	var addresses []corev1.NodeAddress
	for _, it := range c.node.families {
		addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: it.address.String()})
	}
	node.Status = corev1.NodeStatus{
		Capacity: much, Allocatable: much, Addresses: addresses,
		// Istio asks nodes whether they know sidecars that are init containers.
		NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.36.1", OperatingSystem: "linux", Architecture: "amd64"},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now()}},
	}
	_, err = c.Client.CoreV1().Nodes().UpdateStatus(k.context, node, metav1.UpdateOptions{})
	return err
}

// see takes what the API server says of a pod.
func (k *kubelet) see(it *corev1.Pod) {
	if it.Spec.NodeName == "" {
		if it.DeletionTimestamp == nil {
			go k.bind(it)
		}
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	p := k.pods[it.UID]
	if p == nil {
		if it.Status.Phase == corev1.PodSucceeded || it.Status.Phase == corev1.PodFailed {
			return
		}
		k.number++
		p = newPod(k, it, k.number)
		k.pods[it.UID] = p
		go p.run()
	}
	if it.DeletionTimestamp != nil {
		p.delete(it)
	}
}

// lose ends a pod that is gone without having been asked.
func (k *kubelet) lose(it *corev1.Pod) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if p := k.pods[it.UID]; p != nil {
		p.delete(it)
		delete(k.pods, it.UID)
	}
}

func (k *kubelet) bind(it *corev1.Pod) {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: it.Namespace, Name: it.Name, UID: it.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: k.cluster.node.namespace},
	}
	_ = k.cluster.Client.CoreV1().Pods(it.Namespace).Bind(k.context, binding, metav1.CreateOptions{})
}

// balance gives a Service of type LoadBalancer the addresses that the topology says it has.
func (k *kubelet) balance(it *corev1.Service) {
	if it.Spec.Type != corev1.ServiceTypeLoadBalancer || len(it.Status.LoadBalancer.Ingress) > 0 || k.cluster.Balancers == nil {
		return
	}
	ingress := k.cluster.Balancers(it)
	if ingress == nil {
		return
	}
	it = it.DeepCopy()
	it.Status.LoadBalancer.Ingress = ingress
	go func() {
		_, _ = k.cluster.Client.CoreV1().Services(it.Namespace).UpdateStatus(k.context, it, metav1.UpdateOptions{})
	}()
}

// end kills all containers, and takes their networks away.
func (k *kubelet) end() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, it := range k.pods {
		it.kill()
		_ = unwire(it.namespace)
	}
}

// Pod finds a pod that the kubelet knows, however it is.
func (c *Cluster) Pod(namespace, name string) *Pod {
	c.kubelet.mutex.Lock()
	defer c.kubelet.mutex.Unlock()
	for _, p := range c.kubelet.pods {
		if p.object.Namespace == namespace && p.object.Name == name {
			return &Pod{p}
		}
	}
	return nil
}

// Running finds the pods of a namespace with these labels that are ready.
func (c *Cluster) Running(namespace string, with map[string]string) []*Pod {
	return slices.DeleteFunc(c.Selected(namespace, with), func(it *Pod) bool { return !it.pod.ready() })
}

// Selected finds all pods of a namespace with these labels, also those that end.
func (c *Cluster) Selected(namespace string, with map[string]string) []*Pod {
	selector := labels.SelectorFromSet(with)
	c.kubelet.mutex.Lock()
	defer c.kubelet.mutex.Unlock()
	var list []*Pod
	for _, p := range c.kubelet.pods {
		if p.object.Namespace == namespace && selector.Matches(labels.Set(p.object.Labels)) {
			list = append(list, &Pod{p})
		}
	}
	return list
}

// Available waits until all Deployments of the cluster are rolled out.
func (c *Cluster) Available(ctx context.Context, limit time.Duration) error {
	return Eventually(ctx, limit, func() error {
		list, err := c.Client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, it := range list.Items {
			want := int32(1)
			if it.Spec.Replicas != nil {
				want = *it.Spec.Replicas
			}
			s := it.Status
			if s.ObservedGeneration < it.Generation || s.UpdatedReplicas < want || s.AvailableReplicas < want || s.Replicas > want {
				return fmt.Errorf("%s: Deployment %s/%s has %d of %d pods available", c.Name, it.Namespace, it.Name, s.AvailableReplicas, want)
			}
		}
		return nil
	})
}
