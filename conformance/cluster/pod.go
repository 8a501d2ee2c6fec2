// A pod: its containers from the first to the last, and what the API server is told of them.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

type pod struct {
	kubelet   *kubelet
	object    *corev1.Pod // as it was when it came
	number    int
	namespace string // of its network
	dir       string
	addresses []netip.Addr // one of each family
	context   context.Context
	cancel    context.CancelFunc

	mutex       sync.Mutex
	containers  map[string]*container
	initialized bool
	deleting    bool
	message     string // why it does not go on
	changed     chan struct{}
}

// container is a container as the pod knows it; the pod's mutex guards it.
type container struct {
	spec     *corev1.Container
	command  *exec.Cmd
	ended    chan struct{} // of this command
	running  bool
	started  bool // its startup probe succeeded
	ready    bool
	exits    int
	code     int32
	finished bool
}

func newPod(k *kubelet, object *corev1.Pod, number int) *pod {
	name := fmt.Sprintf("%s-%d", k.cluster.Name, number)
	p := &pod{
		kubelet: k, object: object, number: number, namespace: "pod-" + name,
		dir:        filepath.Join(k.cluster.dir, "pods", fmt.Sprint(number)),
		containers: map[string]*container{}, changed: make(chan struct{}, 1),
	}
	p.context, p.cancel = context.WithCancel(k.context)
	for i := range object.Spec.InitContainers {
		p.containers[object.Spec.InitContainers[i].Name] = &container{spec: &object.Spec.InitContainers[i]}
	}
	for i := range object.Spec.Containers {
		p.containers[object.Spec.Containers[i].Name] = &container{spec: &object.Spec.Containers[i]}
	}
	return p
}

// address is the pod's first one.
func (p *pod) address() netip.Addr { return p.addresses[0] }

// run makes the pod run, and returns when it does or when it has been deleted.
func (p *pod) run() {
	go p.report()
	var err error
	device := fmt.Sprintf("p%d", p.number)
	if p.addresses, err = p.kubelet.cluster.node.wire(p.namespace, device); err != nil {
		p.say(err)
		return
	}
	p.touch()
	// What a volume needs may come later, as Istio's root certificate does.
	err = Eventually(p.context, time.Hour, func() error {
		err := p.volumes()
		p.say(err)
		return err
	})
	if err != nil {
		return
	}
	for i := range p.object.Spec.InitContainers {
		if !p.initialize(&p.object.Spec.InitContainers[i]) {
			return
		}
	}
	p.set(func() { p.initialized = true })
	for i := range p.object.Spec.Containers {
		if p.context.Err() != nil {
			return
		}
		p.keep(&p.object.Spec.Containers[i])
	}
}

// initialize runs an init container to its end, or starts a sidecar; it says whether to go on.
func (p *pod) initialize(spec *corev1.Container) bool {
	if sidecar(spec) {
		p.keep(spec)
		c := p.containers[spec.Name]
		return Eventually(p.context, time.Hour, func() error {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			if !c.started {
				return fmt.Errorf("%s has not started", spec.Name)
			}
			return nil
		}) == nil
	}
	for p.context.Err() == nil {
		if err := p.start(spec); err != nil {
			p.say(err)
			return false
		}
		c := p.containers[spec.Name]
		<-c.ended
		if c.code == 0 {
			p.set(func() { c.finished, p.message = true, "" })
			return true
		}
		p.say(fmt.Errorf("%s ended with %d", spec.Name, c.code))
		p.sleep(time.Second)
	}
	return false
}

// keep starts a container, runs its hook, and starts it again whenever it ends.
func (p *pod) keep(spec *corev1.Container) {
	c := p.containers[spec.Name]
	once := func() bool {
		if err := p.start(spec); err != nil {
			p.say(err)
			return false
		}
		if hook := spec.Lifecycle; hook != nil && hook.PostStart != nil && hook.PostStart.Exec != nil {
			if err := p.execute(spec, hook.PostStart.Exec.Command); err != nil {
				p.say(fmt.Errorf("%s: postStart: %w", spec.Name, err))
			}
		}
		return true
	}
	if !once() {
		return
	}
	go p.probe(c)
	go func() {
		for wait := 500 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
			<-c.ended
			p.set(func() { c.exits++ })
			p.sleep(wait)
			if p.context.Err() != nil || !once() {
				return
			}
		}
	}()
}

// start starts a container's command.
func (p *pod) start(spec *corev1.Container) error {
	c := p.containers[spec.Name]
	it, err := p.jail(spec)
	if err != nil {
		return err
	}
	text, err := json.Marshal(it)
	if err != nil {
		return err
	}
	path := filepath.Join(p.dir, spec.Name+".json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	log, err := p.log(spec.Name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command("/proc/self/exe", "container", path)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.context.Err() != nil {
		return p.context.Err()
	}
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	c.command, c.ended, c.running = command, ended, true
	c.started = spec.StartupProbe == nil
	c.ready = spec.StartupProbe == nil && spec.ReadinessProbe == nil
	go func() {
		_ = command.Wait()
		p.set(func() {
			c.running, c.started, c.ready = false, false, false
			c.code = int32(command.ProcessState.ExitCode())
		})
		close(ended)
	}()
	p.touch()
	return nil
}

func (p *pod) log(name string) (*os.File, error) {
	path := filepath.Join(p.kubelet.cluster.Logs, fmt.Sprintf("%s.%s.%s.log", p.object.Namespace, p.object.Name, name))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) // a container that starts again goes on
	if err != nil {
		return nil, err
	}
	// Envoy opens /dev/stdout for its access log, as another user.
	return file, file.Chmod(0o666)
}

// delete ends the pod as its deletion asks for, once.
func (p *pod) delete(object *corev1.Pod) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.deleting {
		return
	}
	p.deleting = true
	grace := 30 * time.Second
	if object.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
	}
	go p.terminate(grace)
}

// terminate runs the hooks of all containers at once, as a kubelet does, asks them to end, sidecars after
// the others, and insists when the time is over.
func (p *pod) terminate(grace time.Duration) {
	p.cancel()
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var others sync.WaitGroup
	for i := range p.object.Spec.Containers {
		others.Go(func() { p.ask(limit, &p.object.Spec.Containers[i], func() {}) })
	}
	// Each waits for the sidecar that started after it.
	turn := others.Wait
	var last []*corev1.Container
	for i := range p.object.Spec.InitContainers {
		if sidecar(&p.object.Spec.InitContainers[i]) {
			last = append(last, &p.object.Spec.InitContainers[i])
		}
	}
	for _, it := range slices.Backward(last) {
		var one sync.WaitGroup
		before := turn
		one.Go(func() { p.ask(limit, it, before) })
		turn = one.Wait
	}
	turn()
	p.kill()
	now := int64(0)
	_ = p.kubelet.cluster.Client.CoreV1().Pods(p.object.Namespace).Delete(p.kubelet.context, p.object.Name,
		metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.object.UID}})
	_ = unwire(p.namespace)
	_ = os.RemoveAll(p.dir)
}

// leastGrace is how long a container has in any case, however late it is asked.
const leastGrace = 2 * time.Second

// ask runs the hook of a container, waits for its turn, asks it to end, and kills it when the time is over.
func (p *pod) ask(limit context.Context, spec *corev1.Container, turn func()) {
	if hook := spec.Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Exec != nil {
		_, _ = p.output(limit, spec, hook.PreStop.Exec.Command)
	}
	turn()
	least := time.After(leastGrace)
	p.mutex.Lock()
	c := p.containers[spec.Name]
	if !c.running {
		p.mutex.Unlock()
		return
	}
	_ = c.command.Process.Signal(syscall.SIGTERM)
	ended := c.ended
	p.mutex.Unlock()
	select {
	case <-ended:
		return
	case <-limit.Done():
	}
	select {
	case <-ended:
	case <-least:
		_ = c.command.Process.Kill()
	}
}

// kill ends all containers at once: with the first process of a container all others go.
func (p *pod) kill() {
	p.cancel()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, c := range p.containers {
		if c.running {
			_ = c.command.Process.Kill()
		}
	}
}

func sidecar(spec *corev1.Container) bool {
	return spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func (p *pod) sleep(time_ time.Duration) {
	select {
	case <-p.context.Done():
	case <-time.After(time_):
	}
}

// set changes what is known of the pod, and has it told.
func (p *pod) set(change func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	change()
	p.touch()
}

func (p *pod) say(err error) {
	p.set(func() {
		p.message = ""
		if err != nil {
			p.message = err.Error()
		}
	})
}

func (p *pod) touch() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *pod) ready() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.allReady() && !p.deleting
}

func (p *pod) allReady() bool {
	if !p.initialized {
		return false
	}
	for _, c := range p.containers {
		if !c.ready && !c.finished {
			return false
		}
	}
	return true
}

// report tells the API server of every change, until the pod is gone.
func (p *pod) report() {
	var told string
	for {
		select {
		case <-p.changed:
		case <-p.kubelet.context.Done():
			return
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.object.UID}, "status": p.status()})
		if err != nil || string(patch) == told {
			continue
		}
		_, err = p.kubelet.cluster.Client.CoreV1().Pods(p.object.Namespace).Patch(p.kubelet.context, p.object.Name,
			types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil {
			told = string(patch)
			continue
		}
		if gone(err) {
			return
		}
		time.Sleep(200 * time.Millisecond)
		p.touch()
	}
}

func (p *pod) status() corev1.PodStatus {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	truth := func(is bool) corev1.ConditionStatus {
		if is {
			return corev1.ConditionTrue
		}
		return corev1.ConditionFalse
	}
	s := corev1.PodStatus{Phase: corev1.PodPending, Message: p.message}
	for _, it := range p.kubelet.cluster.node.families {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: it.address.String()})
	}
	s.HostIP = s.HostIPs[0].IP
	for _, it := range p.addresses {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: it.String()})
	}
	if len(s.PodIPs) > 0 {
		s.PodIP = s.PodIPs[0].IP
	}
	if p.initialized {
		s.Phase = corev1.PodRunning
	}
	ready := p.allReady()
	s.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: truth(p.initialized)},
		{Type: corev1.ContainersReady, Status: truth(ready)},
		{Type: corev1.PodReady, Status: truth(ready)},
	}
	for i := range p.object.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, p.statusOf(&p.object.Spec.InitContainers[i]))
	}
	for i := range p.object.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, p.statusOf(&p.object.Spec.Containers[i]))
	}
	return s
}

func (p *pod) statusOf(spec *corev1.Container) corev1.ContainerStatus {
	c := p.containers[spec.Name]
	started := c.started && c.running
	s := corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, ImageID: spec.Image, Ready: c.ready || c.finished,
		Started: &started, RestartCount: int32(c.exits),
	}
	switch {
	case c.running:
		s.State.Running = &corev1.ContainerStateRunning{}
	case c.finished:
		s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: c.code, Reason: "Completed"}
	default:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	return s
}
