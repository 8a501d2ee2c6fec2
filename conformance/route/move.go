// A service moves from one cluster to another under load, step by step, as its plan says.
package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

const (
	// pauseAfterStep is how long the load goes on after a step, before the next begins.
	pauseAfterStep = 8 * time.Second
	// settled is when, after the last command of a step, only those answer who are meant to.
	settled = 4 * time.Second
	// shownWrongs is how many of one kind are told.
	shownWrongs = 5
)

// Move does what `meshlatch migrate` planned in a folder, each step as PLAN.md says, while everybody who has to do with
// the service calls. No call may fail.
func Move(ctx context.Context, settings Settings, c *report.Case, dir string, wait bool) error {
	return carryOut(ctx, settings, c, wait, func() (*move, error) { return openMove(ctx, settings, c, dir) })
}

// carryOut opens what is planned, judges it, and closes it.
func carryOut(ctx context.Context, settings Settings, c *report.Case, wait bool, open func() (*move, error)) error {
	if err := settings.clearLogs(); err != nil {
		return err
	}
	m, err := open()
	if m != nil && m.world != nil {
		defer m.world.Close()
	}
	c.Judge("every cluster comes up with the bundle of before", err)
	if err == nil {
		m.judge(ctx)
	}
	if wait {
		fmt.Println("the clusters run until interrupted")
		<-ctx.Done()
	}
	return ctx.Err()
}

// move is a plan that is carried out.
type move struct {
	*plan
	world               *World
	programs, meshlatch string                     // folders
	dir                 string                     // a copy of the plan, in which its commands run
	spans               []span                     // of every state, the first too, as far as we came
	had                 map[string]map[object]bool // what bundles held so far, by cluster
	has                 map[string]map[object]bool // what they hold now
}

// span is when a step began, and when its last command had ended. It lasts until the next one begins.
type span struct{ began, done time.Time }

func openMove(ctx context.Context, settings Settings, c *report.Case, dir string) (*move, error) {
	p, err := readPlan(dir)
	if err != nil {
		return nil, err
	}
	m, err := prepare(settings, p, dir)
	if err != nil {
		return nil, err
	}
	// The folder is that of a user, who has his topology and its bundles in it already.
	if err := os.CopyFS(m.dir, os.DirFS(filepath.Join(dir, p.first.name))); err != nil {
		return nil, err
	}
	if err := m.shell(ctx, "meshlatch compile topology.yaml -o out"); err != nil {
		return nil, err
	}
	m.world, err = Open(ctx, settings, c, m.dir)
	if err != nil {
		return m, err
	}
	return m, m.look(ctx)
}

// prepare copies a plan into a folder in which its commands run, beside the program under test.
func prepare(settings Settings, p *plan, dir string) (*move, error) {
	meshlatch, err := filepath.Abs(settings.Meshlatch)
	programs, alsoErr := filepath.Abs(settings.Programs)
	logs, logsErr := filepath.Abs(settings.Logs)
	if err := errors.Join(err, alsoErr, logsErr); err != nil {
		return nil, err
	}
	m := &move{plan: p, dir: filepath.Join(logs, "plan"), programs: programs, had: map[string]map[object]bool{}, has: map[string]map[object]bool{}}
	m.meshlatch = filepath.Join(m.dir, "bin")
	return m, errors.Join(os.CopyFS(m.dir, os.DirFS(dir)), os.Mkdir(m.meshlatch, 0o755), os.Symlink(meshlatch, filepath.Join(m.meshlatch, "meshlatch")))
}

// shell runs a command of the plan, in a shell whose kubectl knows every cluster by its name.
func (m *move) shell(ctx context.Context, line string) error {
	command := exec.CommandContext(ctx, "sh", "-euc", line)
	command.Dir = m.dir
	command.Env = append(os.Environ(), "PATH="+strings.Join([]string{m.meshlatch, m.programs, os.Getenv("PATH")}, ":"))
	if m.world != nil {
		var configs []string
		for _, name := range topology.Keys(m.world.Clusters) {
			configs = append(configs, m.world.Clusters[name].Kubeconfig)
		}
		command.Env = append(command.Env, "KUBECONFIG="+strings.Join(configs, ":"))
	}
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// object is one of a bundle.
type object struct{ group, kind, namespace, name string }

// look remembers what the bundles hold.
func (m *move) look(ctx context.Context) error {
	for _, name := range topology.Keys(m.world.Clusters) {
		if _, err := os.Stat(filepath.Join(m.dir, "out", name)); err != nil {
			continue // it is no cluster of the mesh yet
		}
		text, err := m.world.Clusters[name].Kubectl(ctx, "", "kustomize", filepath.Join(m.dir, "out", name))
		if err != nil {
			return err
		}
		if m.had[name] == nil {
			m.had[name] = map[object]bool{}
		}
		m.has[name] = map[object]bool{}
		for _, document := range strings.Split(text, "\n---\n") {
			var it struct {
				APIVersion string
				Kind       string
				Metadata   struct{ Name, Namespace string }
			}
			if err := yaml.Unmarshal([]byte(document), &it); err != nil {
				return err
			}
			group, _, grouped := strings.Cut(it.APIVersion, "/")
			if !grouped {
				group = ""
			}
			id := object{group, it.Kind, it.Metadata.Namespace, it.Metadata.Name}
			m.has[name][id], m.had[name][id] = true, true
		}
	}
	return nil
}

func (m *move) judge(ctx context.Context) {
	c := m.world.Case
	wanted, outside := m.wanted()
	m.spans = []span{{began: time.Now(), done: time.Now()}}
	load := m.world.begin(ctx, wanted, outside)
	sleep(ctx, pauseAfterStep)
	err := m.follow(ctx, load)
	end := time.Now()
	load.end()
	m.judgeLoad(load, end)
	c.Judge("every pod that calls ends its calls before it ends", errorOf(load.cut))
	c.Judge("every command of the plan works", err)
	if err != nil {
		return
	}
	last := *m.world
	last.Topology = m.steps[len(m.steps)-1].topology
	last.judgeCalls(ctx)
	for _, name := range topology.Keys(m.world.Clusters) {
		c.Judge(name+" has what its last bundle says", m.shell(ctx, fmt.Sprintf("kubectl --context %s diff -k out/%[1]s", name)))
		c.Judge(name+" has nothing left that only an earlier bundle had", m.leftover(ctx, name))
	}
}

// follow carries out one step after the other.
func (m *move) follow(ctx context.Context, load *steady) error {
	for _, step := range m.steps {
		for _, note := range step.notes {
			if !strings.Contains(note, " are replaced: ") {
				m.world.Case.Skip(step.name, note)
			}
		}
		m.spans = append(m.spans, span{began: time.Now()})
		for i, command := range step.commands {
			began := time.Now()
			if err := errors.Join(m.installNew(ctx, command), m.shell(ctx, command)); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			if i == 0 {
				if err := m.look(ctx); err != nil {
					return err
				}
			}
			m.world.Case.Progress("%s: %.1f s: %s", step.name, time.Since(began).Seconds(), command)
		}
		m.spans[len(m.spans)-1].done = time.Now()
		sleep(ctx, pauseAfterStep)
		calls, failed := load.count()
		m.world.Case.Progress("%s is done: %d calls so far, %d failed", step.name, calls, failed)
	}
	return ctx.Err()
}

// wanted are the calls under which the service moves: those to it and those that it makes itself, and
// those to whoever is replaced on the way.
func (m *move) wanted() ([]want, map[line]request) {
	touched := func(key string) bool {
		return m.service == "" || key == m.service || m.rolled(m.first.topology.Services[key])
	}
	var list []want
	for _, key := range topology.Keys(m.first.topology.Services) {
		caller := m.first.topology.Services[key]
		for _, name := range m.clusters(caller) {
			for _, it := range caller.Calls {
				if key != m.service && !touched(it.Service) {
					continue
				}
				callee := m.first.topology.Services[it.Service]
				one := want{line: line{name, key, it.Service}, service: caller}
				port, number, found := callee.PortOf(it.Port)
				if !found {
					continue
				}
				protocol := protocolOf(topology.ProtocolOf(port, number))
				for _, variable := range variables(it) {
					one.requests = append(one.requests, request{protocol: protocol, variable: variable})
				}
				if one.requests == nil && m.first.topology.Host(callee, name) != m.steps[len(m.steps)-1].topology.Host(callee, name) {
					m.world.Case.Skip(one.line.String(), "nothing tells its pods by which name")
					continue
				}
				if one.requests == nil {
					one.requests = []request{{protocol: protocol, address: m.first.topology.Host(callee, name) + ":" + strconv.Itoa(number.Number)}}
				}
				list = append(list, one)
			}
		}
	}
	return list, m.outside(touched)
}

// clusters are those that have pods of a service at any time.
func (m *move) clusters(s *topology.Service) []string {
	var list []string
	for _, it := range m.states() {
		list = append(list, it.topology.Hosted(it.topology.Services[s.Key])...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// outside are the requests at ingresses that serve from the first step to the last.
func (m *move) outside(touched func(string) bool) map[line]request {
	list := map[line]request{}
	for _, key := range topology.Keys(m.first.topology.Ingress) {
		it := m.first.topology.Ingress[key]
		if !touched(it.Service) {
			continue
		}
		if it.TLS != nil {
			m.world.Case.Skip("ingress "+key, "it has a certificate of its own")
			continue
		}
		for _, name := range m.first.topology.Serving(it) {
			always := !slices.ContainsFunc(m.steps, func(s state) bool {
				return !slices.Contains(s.topology.Serving(s.topology.Ingress[key]), name)
			})
			if !always {
				m.world.Case.Skip(fmt.Sprintf("ingress %s in %s", key, name), "it moves, too, and the public DNS is nobody's here")
				continue
			}
			q := request{protocol: "HTTP", address: fmt.Sprintf("%s:%d", m.world.Outside.ingress(name), cmp.Or(it.Listen, 80))}
			if len(it.Hosts) > 0 {
				q.authority = it.Hosts[0]
			}
			if len(it.Paths) > 0 {
				q.path = it.Paths[0]
			}
			list[line{name, "ingress " + key, it.Service}] = q
		}
	}
	return list
}

// judgeLoad judges every kind of calls in every step.
func (m *move) judgeLoad(load *steady, end time.Time) {
	type kind struct {
		step int
		line line
	}
	calls := map[kind][]made{}
	var failures []string
	for _, it := range load.calls {
		at := kind{m.during(it.At), it.line}
		calls[at] = append(calls[at], it)
		if !it.OK {
			failures = append(failures, it.String()+"\n")
		}
	}
	slices.Sort(failures)
	_ = os.WriteFile(filepath.Join(m.world.Logs, "failures.txt"), []byte(strings.Join(failures, "")), 0o644)
	for i, s := range m.states()[:len(m.spans)] {
		failed := 0
		for _, it := range load.lines {
			list := calls[kind{i, it}]
			if list == nil && !m.always(i, it) {
				continue
			}
			by := map[string]int{}
			var wrong []string
			for _, one := range list {
				if err := m.right(i, one); err != nil {
					wrong = append(wrong, err.Error())
				}
				by[cmp.Or(one.Answer.Cluster, "nobody")]++
			}
			if list == nil {
				wrong = append(wrong, "no call was made")
			}
			if s.wrong {
				failed += len(wrong)
				continue
			}
			answered := []string{}
			for _, name := range topology.Keys(by) {
				answered = append(answered, fmt.Sprintf("%s %d", name, by[name]))
			}
			m.world.Case.Judge(fmt.Sprintf("%s: %s: %d calls, answered by %s", s.name, it, len(list), strings.Join(answered, ", ")), errorOf(wrong))
		}
		if s.wrong {
			var err error
			if failed == 0 {
				err = errors.New("no call failed")
			}
			m.world.Case.Judge(fmt.Sprintf("%s: it is seen to cut calls: %d", s.name, failed), err)
		}
	}
	m.world.Case.Progress("%d calls in %.0f s", len(load.calls), end.Sub(m.spans[0].began).Seconds())
}

// during is the step in which a moment falls.
func (m *move) during(at time.Time) int {
	step := 0
	for i, it := range m.spans {
		if !at.Before(it.began) {
			step = i
		}
	}
	return step
}

// always says whether somebody calls all through a step.
func (m *move) always(step int, it line) bool {
	there := func(t *topology.Topology) bool {
		s := t.Services[it.caller]
		return s == nil || slices.Contains(t.Hosted(s), it.cluster)
	}
	return there(m.states()[step].topology) && there(m.states()[max(step-1, 0)].topology)
}

// right says what is wrong with a call: whoever answers must be allowed to by a step that is under way.
func (m *move) right(step int, it made) error {
	if !it.OK {
		return errors.New(it.String())
	}
	if it.Answer.Service != it.line.callee {
		return fmt.Errorf("%s answered: %s", it.Answer.Service, it)
	}
	first, last := step, m.during(it.At.Add(time.Duration(it.Milliseconds)*time.Millisecond))
	if step > 0 && it.At.Before(m.spans[step].done.Add(settled)) {
		first = step - 1
	}
	if it.keep && !carriesIdentity(it.protocol) {
		first = 0 // a conversation goes on where it began
	}
	allowed := map[string]bool{}
	for _, s := range m.states()[first : last+1] {
		for _, t := range []*topology.Topology{s.topology, s.beside} {
			if t == nil {
				continue
			}
			for _, name := range t.Answers(t.Services[it.line.callee], it.line.cluster).First() {
				allowed[name] = true
			}
		}
	}
	if !allowed[it.Answer.Cluster] {
		return fmt.Errorf("%s answered, not %s: %s", it.Answer.Cluster, strings.Join(topology.Keys(allowed), " or "), it)
	}
	return nil
}

// leftover says what is still there of earlier bundles; namespaces stay.
func (m *move) leftover(ctx context.Context, name string) error {
	var found []string
	for id := range m.had[name] {
		if m.has[name][id] || id.kind == "Namespace" {
			continue
		}
		kind := id.kind
		if id.group != "" {
			kind += "." + id.group
		}
		out, err := m.world.Clusters[name].Kubectl(ctx, "", "get", kind, id.name, "--namespace", id.namespace, "--ignore-not-found", "--output", "name")
		if err != nil {
			return err
		}
		if out != "" {
			found = append(found, strings.TrimSpace(out))
		}
	}
	slices.Sort(found)
	return errorOf(found)
}

// errorOf is the first of some sentences, and how many there are; nil if there is none.
func errorOf(list []string) error {
	if len(list) == 0 {
		return nil
	}
	text := strings.Join(list[:min(len(list), shownWrongs)], "; ")
	if len(list) > shownWrongs {
		text += fmt.Sprintf("; and %d more", len(list)-shownWrongs)
	}
	return errors.New(text)
}
