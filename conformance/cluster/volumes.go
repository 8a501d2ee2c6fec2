// Volumes, variables and surroundings of a pod's containers.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumes writes what the pod's volumes hold; it fails as long as something of it is missing.
func (p *pod) volumes() error {
	for i := range p.object.Spec.Volumes {
		it := &p.object.Spec.Volumes[i]
		dir := p.volume(it.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
		if err := p.fill(dir, it); err != nil {
			return fmt.Errorf("volume %s: %w", it.Name, err)
		}
	}
	return nil
}

func (p *pod) volume(name string) string { return filepath.Join(p.dir, "volumes", name) }

func (p *pod) fill(dir string, it *corev1.Volume) error {
	switch {
	case it.EmptyDir != nil:
		return nil
	case it.ConfigMap != nil:
		return p.configMap(dir, it.ConfigMap.Name, it.ConfigMap.Items, it.ConfigMap.Optional)
	case it.Secret != nil:
		return p.secret(dir, it.Secret.SecretName, it.Secret.Items, it.Secret.Optional)
	case it.DownwardAPI != nil:
		return p.downward(dir, it.DownwardAPI.Items)
	case it.Projected != nil:
		for _, source := range it.Projected.Sources {
			if err := p.project(dir, &source); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("a kind of volume that this kubelet does not know")
}

func (p *pod) project(dir string, it *corev1.VolumeProjection) error {
	switch {
	case it.ConfigMap != nil:
		return p.configMap(dir, it.ConfigMap.Name, it.ConfigMap.Items, it.ConfigMap.Optional)
	case it.Secret != nil:
		return p.secret(dir, it.Secret.Name, it.Secret.Items, it.Secret.Optional)
	case it.DownwardAPI != nil:
		return p.downward(dir, it.DownwardAPI.Items)
	case it.ServiceAccountToken != nil:
		return p.token(filepath.Join(dir, it.ServiceAccountToken.Path), it.ServiceAccountToken)
	}
	return errors.New("a kind of projection that this kubelet does not know")
}

func (p *pod) token(path string, it *corev1.ServiceAccountTokenProjection) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: it.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.object.Name, UID: p.object.UID},
	}}
	if it.Audience != "" {
		request.Spec.Audiences = []string{it.Audience}
	}
	account := p.object.Spec.ServiceAccountName
	given, err := p.kubelet.cluster.Client.CoreV1().ServiceAccounts(p.object.Namespace).CreateToken(p.context, account, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return put(path, []byte(given.Status.Token))
}

func (p *pod) configMap(dir, name string, items []corev1.KeyToPath, optional *bool) error {
	it, err := p.kubelet.cluster.Client.CoreV1().ConfigMaps(p.object.Namespace).Get(p.context, name, metav1.GetOptions{})
	if err != nil {
		return lenient(err, optional)
	}
	data := map[string][]byte{}
	for key, text := range it.Data {
		data[key] = []byte(text)
	}
	return files(dir, data, items)
}

func (p *pod) secret(dir, name string, items []corev1.KeyToPath, optional *bool) error {
	it, err := p.kubelet.cluster.Client.CoreV1().Secrets(p.object.Namespace).Get(p.context, name, metav1.GetOptions{})
	if err != nil {
		return lenient(err, optional)
	}
	return files(dir, it.Data, items)
}

func lenient(err error, optional *bool) error {
	if gone(err) && optional != nil && *optional {
		return nil
	}
	return err
}

func files(dir string, data map[string][]byte, items []corev1.KeyToPath) error {
	if items == nil {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, it := range items {
		if err := put(filepath.Join(dir, it.Path), data[it.Key]); err != nil {
			return err
		}
	}
	return nil
}

func put(path string, text []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644))
}

func (p *pod) downward(dir string, items []corev1.DownwardAPIVolumeFile) error {
	for _, it := range items {
		var text string
		if it.FieldRef != nil {
			text = p.field(it.FieldRef.FieldPath)
		} else if it.ResourceFieldRef != nil {
			text = p.limit(it.ResourceFieldRef, nil)
		}
		if err := put(filepath.Join(dir, it.Path), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// field is a field of the pod as the downward API names it.
func (p *pod) field(path string) string {
	it := p.object
	part, key, quoted := strings.Cut(strings.TrimSuffix(path, "']"), "['")
	switch part {
	case "metadata.name":
		return it.Name
	case "metadata.namespace":
		return it.Namespace
	case "metadata.uid":
		return string(it.UID)
	case "metadata.labels", "metadata.annotations":
		of := it.Labels
		if part == "metadata.annotations" {
			of = it.Annotations
		}
		if quoted {
			return of[key]
		}
		var lines []string
		for key, value := range of {
			text, _ := json.Marshal(value)
			lines = append(lines, key+"="+string(text))
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	case "spec.nodeName":
		return it.Spec.NodeName
	case "spec.serviceAccountName":
		return it.Spec.ServiceAccountName
	case "status.podIP":
		return p.address().String()
	case "status.podIPs":
		return join(p.addresses)
	case "status.hostIP":
		return p.kubelet.cluster.node.address().String()
	}
	return ""
}

// limit is a container's limit or request; without one it is that of a node of two cores and 4 GiB.
func (p *pod) limit(it *corev1.ResourceFieldSelector, own *corev1.Container) string {
	if it.ContainerName != "" {
		own = p.containers[it.ContainerName].spec
	}
	kind, name, _ := strings.Cut(it.Resource, ".")
	list := own.Resources.Limits
	if kind == "requests" {
		list = own.Resources.Requests
	}
	quantity, found := list[corev1.ResourceName(name)]
	if !found {
		quantity = map[string]resource.Quantity{"cpu": resource.MustParse("2"), "memory": resource.MustParse("4Gi")}[name]
	}
	divisor := it.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, unit := quantity.MilliValue(), divisor.MilliValue()
	return fmt.Sprint((value + unit - 1) / unit)
}

// variables are a container's environment: what every pod knows, what it asks for, and where it may
// name others of its own.
func (p *pod) variables(spec *corev1.Container) ([]string, error) {
	known := map[string]string{
		"PATH": searchPath, "HOME": "/", "HOSTNAME": p.object.Name,
		"KUBERNETES_SERVICE_HOST": p.kubelet.cluster.apiServer().String(), "KUBERNETES_SERVICE_PORT": "443",
		"KUBERNETES_SERVICE_PORT_HTTPS": "443",
	}
	client := p.kubelet.cluster.Client.CoreV1()
	for _, it := range spec.EnvFrom {
		switch {
		case it.ConfigMapRef != nil:
			from, err := client.ConfigMaps(p.object.Namespace).Get(p.context, it.ConfigMapRef.Name, metav1.GetOptions{})
			if err = lenient(err, it.ConfigMapRef.Optional); err != nil {
				return nil, err
			}
			for key, value := range from.Data {
				known[it.Prefix+key] = value
			}
		case it.SecretRef != nil:
			from, err := client.Secrets(p.object.Namespace).Get(p.context, it.SecretRef.Name, metav1.GetOptions{})
			if err = lenient(err, it.SecretRef.Optional); err != nil {
				return nil, err
			}
			for key, value := range from.Data {
				known[it.Prefix+key] = string(value)
			}
		}
	}
	for _, it := range spec.Env {
		value := expand(it.Value, known)
		if from := it.ValueFrom; from != nil {
			switch {
			case from.FieldRef != nil:
				value = p.field(from.FieldRef.FieldPath)
			case from.ResourceFieldRef != nil:
				value = p.limit(from.ResourceFieldRef, spec)
			case from.ConfigMapKeyRef != nil:
				m, err := client.ConfigMaps(p.object.Namespace).Get(p.context, from.ConfigMapKeyRef.Name, metav1.GetOptions{})
				if err != nil {
					if lenient(err, from.ConfigMapKeyRef.Optional) == nil {
						continue
					}
					return nil, err
				}
				value = m.Data[from.ConfigMapKeyRef.Key]
			case from.SecretKeyRef != nil:
				m, err := client.Secrets(p.object.Namespace).Get(p.context, from.SecretKeyRef.Name, metav1.GetOptions{})
				if err != nil {
					if lenient(err, from.SecretKeyRef.Optional) == nil {
						continue
					}
					return nil, err
				}
				value = string(m.Data[from.SecretKeyRef.Key])
			}
		}
		known[it.Name] = value
	}
	var list []string
	for key, value := range known {
		list = append(list, key+"="+value)
	}
	slices.Sort(list)
	return list, nil
}

// expand replaces $(NAME) by a variable that is known, and $$ by $.
func expand(text string, known map[string]string) string {
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at+1 == len(text) {
			return out.String() + text
		}
		out.WriteString(text[:at])
		rest := text[at+1:]
		if rest[0] == '$' {
			out.WriteByte('$')
			text = rest[1:]
			continue
		}
		if end := strings.IndexByte(rest, ')'); rest[0] == '(' && end > 0 {
			if value, found := known[rest[1:end]]; found {
				out.WriteString(value)
			} else {
				out.WriteString("$" + rest[:end+1])
			}
			text = rest[end+1:]
			continue
		}
		out.WriteByte('$')
		text = rest
	}
}

// jail says how a container is started.
func (p *pod) jail(spec *corev1.Container) (*jail, error) {
	c := p.kubelet.cluster
	image := imageOf(spec.Image)
	variables, err := p.variables(spec)
	if err != nil {
		return nil, err
	}
	if image.workload && c.Workload != nil {
		variables = append(variables, "MESHLATCH_WORKLOAD="+c.Workload(p.object))
	}
	known := map[string]string{}
	for _, it := range variables {
		key, value, _ := strings.Cut(it, "=")
		known[key] = value
	}
	root := filepath.Join(p.dir, "root", spec.Name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	j := &jail{
		Namespace: p.namespace, Root: root, Host: p.object.Name, Directory: spec.WorkingDir, Variables: variables,
		Files: etc(p.addresses, p.object.Name, p.resolv()), Binds: machineFiles(), User: image.user, Group: image.user,
	}
	if image.workload {
		// What an application's image would run is not here; ours stands for it, whatever its command.
		j.Arguments = image.entry
	} else {
		j.Arguments = append(slices.Clone(image.entry), spec.Args...)
		if spec.Command != nil {
			j.Arguments = append(slices.Clone(spec.Command), spec.Args...)
		}
		for i, it := range j.Arguments {
			j.Arguments[i] = expand(it, known)
		}
	}
	for _, it := range image.programs {
		j.Binds = append(j.Binds, bind{c.program(it), "/usr/local/bin/" + it})
	}
	for file, path := range image.files {
		j.Binds = append(j.Binds, bind{c.program(file), path})
	}
	for _, it := range spec.VolumeMounts {
		j.Binds = append(j.Binds, bind{filepath.Join(p.volume(it.Name), it.SubPath), it.MountPath})
	}
	p.secure(j, spec)
	return j, nil
}

// secure takes user and groups from the security contexts.
func (p *pod) secure(j *jail, spec *corev1.Container) {
	set := func(to *int, from ...*int64) {
		for _, it := range from {
			if it != nil {
				*to = int(*it)
			}
		}
	}
	if of := p.object.Spec.SecurityContext; of != nil {
		set(&j.User, of.RunAsUser)
		set(&j.Group, of.RunAsGroup)
		if of.FSGroup != nil {
			j.Groups = append(j.Groups, int(*of.FSGroup))
		}
	}
	if of := spec.SecurityContext; of != nil {
		set(&j.User, of.RunAsUser)
		set(&j.Group, of.RunAsGroup)
	}
}

// resolv is the pod's resolv.conf, as its policy asks for.
func (p *pod) resolv() string {
	c := p.kubelet.cluster
	server, searches, options := c.DNS().String(), []string{}, []string{"ndots:5"}
	for _, it := range []string{p.object.Namespace + ".svc.", "svc.", ""} {
		searches = append(searches, it+"cluster.local")
	}
	servers := []string{server}
	switch p.object.Spec.DNSPolicy {
	case corev1.DNSDefault:
		servers, searches, options = []string{c.Upstream.String()}, nil, nil
	case corev1.DNSNone:
		servers, searches, options = nil, nil, nil
	}
	if more := p.object.Spec.DNSConfig; more != nil {
		servers, searches = append(servers, more.Nameservers...), append(searches, more.Searches...)
		for _, it := range more.Options {
			option := it.Name
			if it.Value != nil {
				option += ":" + *it.Value
			}
			options = append(options, option)
		}
	}
	var text strings.Builder
	for _, it := range servers {
		text.WriteString("nameserver " + it + "\n")
	}
	if len(searches) > 0 {
		text.WriteString("search " + strings.Join(searches, " ") + "\n")
	}
	if len(options) > 0 {
		text.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return text.String()
}
