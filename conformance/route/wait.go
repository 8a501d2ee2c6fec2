// Waiting: for what comes in its own time, up to a limit.
package route

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"meshlatch/conformance/cluster"
)

// sleep waits, unless there is no more time.
func sleep(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}

// running waits for a pod with these labels.
func running(ctx context.Context, c *cluster.Cluster, namespace string, labels map[string]string) (*cluster.Pod, error) {
	var pods []*cluster.Pod
	err := cluster.Eventually(ctx, 2*time.Minute, func() error {
		if pods = c.Running(namespace, labels); len(pods) == 0 {
			return fmt.Errorf("no pod in %s has %v", namespace, labels)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pods[0], nil
}

// selected are the running pods behind the Services of a cluster that fit.
func (w *World) selected(ctx context.Context, name string, fits func(*corev1.Service) bool) ([]*cluster.Pod, error) {
	c := w.Clusters[name]
	services, err := c.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var pods []*cluster.Pod
	for i := range services.Items {
		if it := &services.Items[i]; len(it.Spec.Selector) > 0 && fits(it) {
			pods = append(pods, c.Running(it.Namespace, it.Spec.Selector)...)
		}
	}
	return pods, nil
}

// at is an address with its port.
func at(address string, port int) string {
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	return address + ":" + strconv.Itoa(port)
}
