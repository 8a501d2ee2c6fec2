// Probes of containers, and commands that are run in them.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func gone(err error) bool { return apierrors.IsNotFound(err) }

// probe runs the startup and readiness probes of a container as long as the pod is there.
func (p *pod) probe(c *container) {
	failures := int32(0)
	for p.context.Err() == nil {
		p.mutex.Lock()
		running, started, ready := c.running, c.started, c.ready
		p.mutex.Unlock()
		probe := c.spec.ReadinessProbe
		if !started {
			probe = c.spec.StartupProbe
		}
		if !running || probe == nil {
			p.sleep(100 * time.Millisecond)
			continue
		}
		err := p.try(c, probe)
		switch {
		case !started && err == nil:
			p.set(func() { c.started, c.ready = true, c.spec.ReadinessProbe == nil })
			continue
		case started && err == nil:
			failures = 0
			if !ready {
				p.set(func() { c.ready, p.message = c.running, "" })
			}
		case started:
			// At first a pod is as ready as its probe says; later a single failure is none.
			failures++
			if ready && failures >= max(probe.FailureThreshold, 1) {
				p.set(func() { c.ready = false })
			}
			fallthrough
		default:
			p.say(fmt.Errorf("%s: %w", c.spec.Name, err))
		}
		// Waiting for what is not ready yet costs us nothing: we look more often than a kubelet would.
		wait := time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
		if !ready {
			wait = 250 * time.Millisecond
		}
		p.sleep(wait)
	}
}

func (p *pod) try(c *container, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(p.context, time.Duration(max(probe.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	dial := dialer(p.kubelet.cluster.node.namespace)
	at := func(port int) string { return net.JoinHostPort(p.address().String(), strconv.Itoa(port)) }
	switch {
	case probe.Exec != nil:
		if imageOf(c.spec.Image).workload {
			// The program of the application's image is not here.
			return nil
		}
		return p.execute(c.spec, probe.Exec.Command)
	case probe.TCPSocket != nil:
		conn, err := dial(ctx, "tcp", at(number(c.spec, probe.TCPSocket.Port)))
		if err == nil {
			_ = conn.Close()
		}
		return err
	case probe.GRPC != nil:
		client, err := grpc.NewClient("passthrough:///"+at(int(probe.GRPC.Port)), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) }))
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		answer, err := grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil && answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			err = errors.New(answer.Status.String())
		}
		return err
	case probe.HTTPGet != nil:
		return p.get(ctx, c.spec, probe.HTTPGet, dial)
	}
	return nil
}

func (p *pod) get(ctx context.Context, spec *corev1.Container, it *corev1.HTTPGetAction, dial func(context.Context, string, string) (net.Conn, error)) error {
	host := p.address().String()
	if it.Host != "" {
		host = it.Host
	}
	path := it.Path
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, strconv.Itoa(number(spec, it.Port)))+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.36")
	for _, header := range it.HTTPHeaders {
		request.Header.Set(header.Name, header.Value)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode >= 400 {
		return errors.New(answer.Status)
	}
	return nil
}

func number(spec *corev1.Container, port intstr.IntOrString) int {
	if port.Type == intstr.Int {
		return port.IntValue()
	}
	for _, it := range spec.Ports {
		if it.Name == port.StrVal {
			return int(it.ContainerPort)
		}
	}
	return 0
}

// execute runs a command in a container, as `kubectl exec` does.
func (p *pod) execute(spec *corev1.Container, arguments []string) error {
	_, err := p.output(context.Background(), spec, arguments)
	return err
}

// output runs a command in a container and returns its standard output.
func (p *pod) output(ctx context.Context, spec *corev1.Container, arguments []string) (string, error) {
	command, err := p.command(ctx, spec, arguments)
	if err != nil {
		return "", err
	}
	var out, failure bytes.Buffer
	command.Stdout, command.Stderr = &out, &failure
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", arguments[0], err, bytes.TrimSpace(failure.Bytes()))
	}
	return out.String(), nil
}

// command is a command in a container, not yet started.
func (p *pod) command(ctx context.Context, spec *corev1.Container, arguments []string) (*exec.Cmd, error) {
	p.mutex.Lock()
	c := p.containers[spec.Name]
	if !c.running {
		p.mutex.Unlock()
		return nil, fmt.Errorf("%s/%s: %s does not run", p.object.Namespace, p.object.Name, spec.Name)
	}
	id := strconv.Itoa(c.command.Process.Pid)
	p.mutex.Unlock()
	it, err := p.jail(spec)
	if err != nil {
		return nil, err
	}
	into := []string{"-t", id, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/",
		"-G", strconv.Itoa(it.Group), "-S", strconv.Itoa(it.User), "--", "env", "-i"}
	into = append(into, it.Variables...)
	return exec.CommandContext(ctx, "nsenter", append(into, arguments...)...), nil
}
