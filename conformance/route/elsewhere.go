// What a topology says comes from elsewhere.
package route

import (
	"encoding/json"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"meshlatch/conformance/topology"
)

// targetOf is the number of a container's port; a named one has the number that the workload gives it, or the
// next of a range of its own.
func targetOf(s *topology.Service, p topology.Port, i int) int {
	if number, err := strconv.Atoi(p.Target); err == nil {
		return number
	}
	fields, _ := s.Workload.(map[string]any)
	container, _ := fields["container"].(map[string]any)
	ports, _ := container["ports"].([]any)
	for _, it := range ports {
		port, _ := it.(map[string]any)
		if number, is := port["containerPort"].(float64); is && port["name"] == p.Target {
			return int(number)
		}
	}
	return 18000 + i
}

// deploymentOf is a Deployment, with its account, that runs a service.
func deploymentOf(s *topology.Service) string {
	labels := maps.Clone(s.Selector)
	maps.Copy(labels, s.Labels)
	container := corev1.Container{Name: "server", Image: "workload"}
	for i, name := range topology.Keys(s.Ports) {
		p := s.Ports[name]
		port := corev1.ContainerPort{ContainerPort: int32(targetOf(s, p, i))}
		if _, err := strconv.Atoi(p.Target); err != nil {
			port.Name = p.Target
		}
		container.Ports = append(container.Ports, port)
	}
	d := appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: s.Selector},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{ServiceAccountName: s.ServiceAccount, Containers: []corev1.Container{container}},
			},
		},
	}
	account := corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Name: s.ServiceAccount, Namespace: s.Namespace},
	}
	return document(account) + document(d)
}

func serviceOf(s *topology.Service) string {
	it := corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace},
		Spec:       corev1.ServiceSpec{Selector: s.Selector},
	}
	for _, name := range topology.Keys(s.Ports) {
		p := s.Ports[name]
		it.Spec.Ports = append(it.Spec.Ports, corev1.ServicePort{Name: name, Port: int32(p.Number), TargetPort: intstr.Parse(p.Target)})
	}
	return document(it)
}

func document(object any) string {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // structs of Kubernetes
	}
	return "---\n" + string(text) + "\n"
}
