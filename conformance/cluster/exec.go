// Pods as a test sees them.
package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
)

// Pod is a running pod.
type Pod struct{ pod *pod }

// Name is its name.
func (p *Pod) Name() string { return p.pod.object.Name }

// Address is its address in its cluster.
func (p *Pod) Address() netip.Addr { return p.pod.address() }

// Addresses are all it has, one of each family.
func (p *Pod) Addresses() []netip.Addr { return p.pod.addresses }

// Object is the pod as it was created, after admission.
func (p *Pod) Object() *corev1.Pod { return p.pod.object }

// Application is the container in which the workload runs.
func (p *Pod) Application() (*corev1.Container, error) {
	for i := range p.pod.object.Spec.Containers {
		if it := &p.pod.object.Spec.Containers[i]; imageOf(it.Image).workload {
			return it, nil
		}
	}
	return nil, fmt.Errorf("%s has no application", p.Name())
}

// Exec runs a command in a container and returns its standard output.
func (p *Pod) Exec(ctx context.Context, container string, arguments ...string) (string, error) {
	c := p.pod.containers[container]
	if c == nil {
		return "", fmt.Errorf("%s has no container %s", p.Name(), container)
	}
	return p.pod.output(ctx, c.spec, arguments)
}

// Command is a command in a container, not yet started.
func (p *Pod) Command(ctx context.Context, container string, arguments ...string) (*exec.Cmd, error) {
	c := p.pod.containers[container]
	if c == nil {
		return nil, fmt.Errorf("%s has no container %s", p.Name(), container)
	}
	return p.pod.command(ctx, c.spec, arguments)
}
