// The server that knows the suffix, at its ClusterIP.
package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// serverAddress is where the bundle says that the server is.
func (c *cluster) serverAddress() netip.Addr {
	if c.server == nil {
		return c.istiocoredns
	}
	address, _ := netip.ParseAddr(c.server.service.Spec.ClusterIP)
	return address
}

// runOwnServer runs the bundle's own CoreDNS as its Deployment says, and leads to it as its Service says.
func (c *cluster) runOwnServer() error {
	template := c.server.deployment.Spec.Template
	for what, selector := range map[string]map[string]string{
		"Service": c.server.service.Spec.Selector, "Deployment": c.server.deployment.Spec.Selector.MatchLabels,
	} {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(template.Labels)) {
			return fmt.Errorf("the %s does not select the pod", what)
		}
	}
	if len(template.Spec.Containers) != 1 {
		return fmt.Errorf("%d containers", len(template.Spec.Containers))
	}
	written := template.Spec.Containers[0]
	it := container{program: c.program, arguments: written.Args, files: map[string]string{}}
	if context := written.SecurityContext; context != nil && context.RunAsUser != nil {
		it.user = *context.RunAsUser
	}
	for _, mount := range written.VolumeMounts {
		for _, volume := range template.Spec.Volumes {
			if volume.Name != mount.Name {
				continue
			}
			if volume.ConfigMap == nil || volume.ConfigMap.Name != c.server.config.Name {
				return fmt.Errorf("the volume %s is not the bundle's ConfigMap", volume.Name)
			}
			for key, text := range c.server.config.Data {
				it.files[path.Join(mount.MountPath, key)] = text
			}
		}
	}
	pod, err := c.node.makePod()
	if err != nil {
		return err
	}
	if _, err := c.node.start(pod, it); err != nil {
		return err
	}
	for _, port := range c.server.service.Spec.Ports {
		target, err := containerPort(written, port.TargetPort, int(port.Port))
		if err == nil {
			err = c.node.forward(c.serverAddress(), string(port.Protocol), int(port.Port), pod, target)
		}
		if err != nil {
			return err
		}
	}
	for _, probe := range []*corev1.Probe{written.ReadinessProbe, written.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil {
			return errors.New("a probe is missing")
		}
		port, err := containerPort(written, probe.HTTPGet.Port, 0)
		if err == nil {
			err = c.node.healthy(pod, port, probe.HTTPGet.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// containerPort is a port by its number or its name.
func containerPort(c corev1.Container, port intstr.IntOrString, otherwise int) (int, error) {
	if port.Type == intstr.Int {
		if port.IntVal == 0 {
			return otherwise, nil
		}
		return int(port.IntVal), nil
	}
	for _, it := range c.Ports {
		if it.Name == port.StrVal {
			return int(it.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("the container has no port %s", port.StrVal)
}
