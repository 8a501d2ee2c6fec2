// A steady load: calls from every pod of some callers as long as it lives, and from outside.
package route

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

const (
	steadyRate = 10 // calls a second of each pod to each of its callees, once with new connections and once with kept ones
	// A pod that is asked to end calls on this long: shorter than its program lives on.
	farewell       = 3 * time.Second
	steadyPatience = 10 * time.Second
)

// line is a kind of calls: by whom, from where, to whom.
type line struct {
	cluster string
	caller  string // a service, or an ingress
	callee  string
}

func (l line) String() string { return fmt.Sprintf("%s in %s calls %s", l.caller, l.cluster, l.callee) }

// made is a call of a load.
type made struct {
	At time.Time `json:"at"` // when it began
	result
	Milliseconds int64 `json:"ms"`

	line     line
	protocol string
	pod      string
	keep     bool
}

func (m made) String() string {
	connection := "a new connection"
	if m.keep {
		connection = "a kept connection"
	}
	return fmt.Sprintf("%s %s, %d ms, %s of %s to %v: %s %v %s", m.At.Format("15:04:05.000"), m.line, m.Milliseconds,
		connection, m.pod, m.Resolved, m.Error, m.Status, m.Body)
}

// steady is a load that runs.
type steady struct {
	world *World
	lines []line // all kinds of calls
	mutex sync.Mutex
	calls []made
	cut   []string // those of pods that ended before their calls did

	running sync.WaitGroup
	stop    context.CancelFunc
}

// want is what the pods of a caller call.
type want struct {
	line
	service  *topology.Service // the caller
	requests []request
}

// begin starts a load, which goes on until end.
func (w *World) begin(ctx context.Context, wanted []want, outside map[line]request) *steady {
	s := &steady{world: w}
	ctx, s.stop = context.WithCancel(ctx)
	for _, it := range wanted {
		s.lines = append(s.lines, it.line)
		s.running.Go(func() { s.follow(ctx, it) })
	}
	for line, it := range outside {
		s.lines = append(s.lines, line)
		for _, keep := range []bool{false, true} {
			s.running.Go(func() {
				s.run(ctx, func() (*exec.Cmd, error) {
					return exec.Command(filepath.Join(w.Programs, "workload"), loadArguments(it, keep)...), nil
				}, made{line: line, protocol: it.protocol, pod: "outside", keep: keep})
			})
		}
	}
	return s
}

// end stops the load when all calls have come to their end.
func (s *steady) end() {
	s.stop()
	s.running.Wait()
}

func (s *steady) count() (calls, failed int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, it := range s.calls {
		if !it.OK {
			failed++
		}
	}
	return len(s.calls), failed
}

// follow has every pod of a caller call from when its program runs until some time after it was asked to end.
func (s *steady) follow(ctx context.Context, it want) {
	stops := map[string]context.CancelFunc{}
	c := s.world.Clusters[it.cluster]
	for ctx.Err() == nil {
		list, err := c.Client.CoreV1().Pods(it.service.Namespace).List(ctx, metav1.ListOptions{
			LabelSelector: labels.SelectorFromSet(it.service.Selector).String(),
		})
		there := map[string]bool{}
		if err == nil {
			for i := range list.Items {
				pod := &list.Items[i]
				there[pod.Name] = pod.DeletionTimestamp == nil
				if stops[pod.Name] == nil && there[pod.Name] {
					stops[pod.Name] = s.start(ctx, it, c, pod.Namespace, pod.Name)
				}
			}
			for name, stop := range stops {
				if stop != nil && !there[name] {
					time.AfterFunc(farewell, stop)
					delete(stops, name)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// start starts the load of a pod; nothing if its program does not run yet.
func (s *steady) start(ctx context.Context, it want, c *cluster.Cluster, namespace, name string) context.CancelFunc {
	pod := c.Pod(namespace, name)
	if pod == nil {
		return nil
	}
	application, err := pod.Application()
	if err != nil {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	for _, request := range it.requests {
		for _, keep := range []bool{false, true} {
			command := func() (*exec.Cmd, error) {
				return pod.Command(context.WithoutCancel(ctx), application.Name, append([]string{"workload"}, loadArguments(request, keep)...)...)
			}
			s.running.Go(func() { s.run(ctx, command, made{line: it.line, protocol: request.protocol, pod: name, keep: keep}) })
		}
	}
	return stop
}

func loadArguments(q request, keep bool) []string {
	q.keep, q.timeout = keep, steadyPatience
	return append([]string{"load", "--each", "--attended", "--for", "2h", "--rate", strconv.Itoa(steadyRate)}, q.arguments()...)
}

// run makes the calls of one load, and tries again until there are some: a container that has just been
// started may have no program yet.
func (s *steady) run(ctx context.Context, command func() (*exec.Cmd, error), about made) {
	var calls int
	var err error
	for ctx.Err() == nil && calls == 0 {
		if calls, err = s.once(ctx, command, about); calls == 0 {
			sleep(ctx, 200*time.Millisecond)
		}
	}
	if err != nil && calls > 0 {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.cut = append(s.cut, fmt.Sprintf("%s, pod %s: %v", about.line, about.pod, err))
	}
}

// once makes the calls of one load and says how many there were, and whether they came to their end.
func (s *steady) once(ctx context.Context, makes func() (*exec.Cmd, error), about made) (int, error) {
	command, err := makes()
	if err != nil {
		return 0, err
	}
	// It ends with its input. A signal would end what enters the pod for it, and leave a child that nobody waits for.
	in, err := command.StdinPipe()
	out, alsoErr := command.StdoutPipe()
	if err := errors.Join(err, alsoErr); err != nil {
		return 0, err
	}
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = in.Close() })()
	calls, err := s.read(out, about)
	_ = command.Wait()
	return calls, err
}

// read keeps every call, up to the report that stands at the end.
func (s *steady) read(out io.Reader, about made) (int, error) {
	calls := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		one := about
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return calls, fmt.Errorf("%w: %s", err, lines.Text())
		}
		if one.At.IsZero() {
			return calls, nil
		}
		calls++
		s.mutex.Lock()
		s.calls = append(s.calls, one)
		s.mutex.Unlock()
	}
	return calls, errors.New("it ended before its calls did")
}
