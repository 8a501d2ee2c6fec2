// Gateways that a cluster has from elsewhere; the topology says how their pods are labelled.
package route

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"meshlatch/conformance/topology"
)

// foreignGateway is what stands for one, where the topology says so: pods that Istio makes gateways of.
func (w *World) foreignGateway(name, folder string) string {
	spec := w.Topology.Clusters[name].Ingress
	numbers := w.Topology.Listening(name)
	if numbers == nil || spec.Selector == nil {
		return ""
	}
	labels := maps.Clone(spec.Selector)
	labels["sidecar.istio.io/inject"] = "true"
	service := corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: "foreign-gateway", Namespace: spec.Namespace},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: spec.Selector},
	}
	for _, number := range numbers {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("port-%d", number), Port: int32(number), TargetPort: intstr.FromInt(topology.Unprivileged(number))})
	}
	deployment := appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: "foreign-gateway", Namespace: spec.Namespace},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: spec.Selector},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"inject.istio.io/templates": "gateway"}},
				Spec: corev1.PodSpec{
					ServiceAccountName: spec.ServiceAccount,
					Containers:         []corev1.Container{{Name: "istio-proxy", Image: "auto"}},
				},
			},
		},
	}
	text := ""
	// What the bundle says of its own namespaces stays.
	if _, err := os.Stat(filepath.Join(folder, "00-namespaces", spec.Namespace+".yaml")); err != nil {
		text += document(corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: spec.Namespace},
		})
	}
	if spec.ServiceAccount != "" {
		text += document(corev1.ServiceAccount{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: spec.ServiceAccount, Namespace: spec.Namespace},
		})
	}
	// istiod hands out certificates to whoever may read their Secrets; charts let their gateways.
	account := spec.ServiceAccount
	if account == "" {
		account = "default"
	}
	role := rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: metav1.ObjectMeta{Name: "foreign-gateway", Namespace: spec.Namespace},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "watch", "list"}}},
	}
	binding := rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: role.APIVersion, Kind: "RoleBinding"}, ObjectMeta: role.ObjectMeta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.Kind, Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: spec.Namespace}},
	}
	return text + document(role) + document(binding) + document(service) + document(deployment)
}
