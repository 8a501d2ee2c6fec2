// Strangers: where only declared callers may call, everybody else of the mesh is refused by name.
package route

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// stranger is the name of a pod of ours, and of its account, that no topology knows.
const stranger = "meshlatch-stranger"

// judgeStrangers has a stranger in every namespace, and everybody there who does not declare it, call the
// services that sidecars there know.
func (w *World) judgeStrangers(ctx context.Context) {
	if w.Topology.Mesh.Authorization != "declared" {
		return
	}
	var all errgroup.Group
	for _, name := range topology.Keys(w.Clusters) {
		for _, from := range w.households(name) {
			all.Go(func() error {
				pod, err := w.enter(ctx, name, podsOfOurs(stranger, from.namespace, nil), from.namespace, stranger)
				if err != nil {
					w.Case.Judge(fmt.Sprintf("a stranger in %s of %s", from.namespace, name), err)
					return nil
				}
				w.judgeStranger(ctx, from, topology.Caller{Cluster: name, Namespace: from.namespace, Account: stranger}, pod)
				for _, s := range from.services {
					if pods := w.Clusters[name].Running(s.Namespace, s.Selector); len(pods) > 0 {
						w.judgeStranger(ctx, from, topology.Caller{Cluster: name, Namespace: from.namespace, Account: s.ServiceAccount, Service: s}, pods[0])
					}
				}
				return nil
			})
		}
	}
	_ = all.Wait()
}

// enter applies objects and waits for their pod.
func (w *World) enter(ctx context.Context, name, objects, namespace, app string) (*cluster.Pod, error) {
	if _, err := w.Clusters[name].Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
		return nil, err
	}
	pod, err := running(ctx, w.Clusters[name], namespace, map[string]string{"app": app})
	if err != nil {
		return nil, err
	}
	// It counts as ready a moment before its program can be found.
	return pod, cluster.Eventually(ctx, time.Minute, func() error {
		_, err := request{protocol: "TCP", address: "127.0.0.1:1"}.make(ctx, pod)
		return err
	})
}

// podsOfOurs is a Deployment of a program that only calls, with its account.
func podsOfOurs(name, namespace string, more map[string]string) string {
	labels := map[string]string{"app": name}
	all := map[string]string{"app": name}
	for key, value := range more {
		all[key] = value
	}
	return document(corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
	}) + document(appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: all},
				Spec:       corev1.PodSpec{ServiceAccountName: name, Containers: []corev1.Container{{Name: "caller", Image: "workload"}}},
			},
		},
	})
}

func (w *World) judgeStranger(ctx context.Context, from household, caller topology.Caller, pod *cluster.Pod) {
	var tried int
	var all errgroup.Group
	all.SetLimit(4)
	for _, key := range topology.Keys(w.Topology.Services) {
		s := w.Topology.Services[key]
		here := s.Namespace == from.namespace && slices.Contains(w.Topology.Hosted(s), from.cluster)
		calls := func(it topology.Caller) bool { return it.Cluster == from.cluster && it.Namespace == from.namespace }
		callers := w.Topology.Callers(s)
		if !here && !slices.ContainsFunc(callers, calls) || w.Topology.Known(callers, caller) {
			continue
		}
		for _, portName := range topology.Keys(s.Ports) {
			protocol := protocolOf(topology.ProtocolOf(portName, s.Ports[portName]))
			if protocol == "UDP" {
				continue
			}
			q := request{protocol: protocol, address: at(w.Topology.Host(s, from.cluster), s.Ports[portName].Number), count: 2, timeout: 5 * time.Second}
			tried++
			all.Go(func() error {
				return cluster.Eventually(ctx, 30*time.Second, func() error { return denied(ctx, pod, q) })
			})
		}
	}
	if err := all.Wait(); tried > 0 {
		w.Case.Judge(fmt.Sprintf("%s of %s in %s: %d calls it does not declare are denied by the servers", caller.Account, from.namespace, from.cluster, tried), err)
	}
}

// denied makes calls that the sidecar of the server must refuse for who the caller is.
func denied(ctx context.Context, pod *cluster.Pod, q request) error {
	results, err := q.make(ctx, pod)
	for _, it := range results {
		if it.OK {
			return fmt.Errorf("%s in %s answered", it.Answer.Service, it.Answer.Cluster)
		}
		if carriesIdentity(q.protocol) && !slices.Contains([]string{"403", "PermissionDenied"}, fmt.Sprint(it.Status)) {
			return fmt.Errorf("%s: not denied, but %v %s", q.address, it.Status, it.Error)
		}
	}
	return err
}
