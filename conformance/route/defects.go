// Defects: a good bundle is broken on purpose, and the call must end as it is told.
package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/defects"
	"meshlatch/conformance/report"
)

// Defects breaks bundles in every way that the files of a folder tell. Its cases are folders relative
// to where we are.
func Defects(ctx context.Context, settings Settings, r *report.Report, dir string, wait bool) error {
	list, err := defects.Read(dir)
	if err != nil {
		return err
	}
	var cases []string
	for _, it := range list {
		if !slices.Contains(cases, it.Case) {
			cases = append(cases, it.Case)
		}
	}
	c := r.Case(dir)
	for _, it := range cases {
		own := slices.DeleteFunc(slices.Clone(list), func(d *defects.Defect) bool { return d.Case != it })
		s := settings
		s.Logs = filepath.Join(settings.Logs, strings.ReplaceAll(filepath.Clean(it), "/", "_"))
		if err := breakCase(ctx, s, c, it, own, wait); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// breakCase opens a case, and breaks it in one way after the other.
func breakCase(ctx context.Context, settings Settings, c *report.Case, dir string, list []*defects.Defect, wait bool) error {
	if err := settings.clearLogs(); err != nil {
		return err
	}
	c.Progress("%s", dir)
	w, err := Open(ctx, settings, c, dir)
	if w != nil {
		defer w.Close()
	}
	if err == nil {
		err = w.logCalls(ctx)
	}
	if err == nil {
		err = w.green(ctx, time.Minute)
	}
	c.Judge(dir+": every declared call is answered", err)
	if err == nil {
		w.judgeProof(ctx, dir+", proof", dir)
		for _, it := range list {
			seen, err := w.defect(ctx, it)
			c.Judge(it.Slug+": "+seen, err)
			if ctx.Err() != nil {
				break
			}
		}
	}
	if wait {
		c.Progress("the clusters run until interrupted")
		<-ctx.Done()
	}
	return ctx.Err()
}

// logCalls has every Envoy write a line for each call. The object is ours, and no part of a bundle.
func (w *World) logCalls(ctx context.Context) error {
	const object = `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: lab, namespace: istio-system}
spec: {accessLogging: [{providers: [{name: envoy}]}]}
`
	var all errgroup.Group
	for _, it := range w.Clusters {
		all.Go(func() error {
			_, err := it.Kubectl(ctx, object, "apply", "-f", "-")
			return err
		})
	}
	return all.Wait()
}

// defect breaks the bundle, says what is seen of it, and mends it.
func (w *World) defect(ctx context.Context, d *defects.Defect) (seen string, err error) {
	if err := w.spoil(d); err != nil {
		return "", err
	}
	err = w.bring(ctx, d, w.Dir, broken)
	switch {
	case err != nil && d.Refused != "" && regexp.MustCompile(d.Refused).MatchString(err.Error()):
		seen, err = "refused: "+oneLine(err.Error()), nil
	case err == nil && d.Refused != "":
		err = errors.New("it was not refused")
	case err == nil && d.Breaks != nil:
		seen, err = w.red(ctx, d)
	case err == nil:
		seen = "green: harmless"
		// What would end at last has the time to do so.
		time.Sleep(3 * time.Second)
	}
	// What is refused does not run.
	if err == nil && d.Refused == "" {
		err = w.still(ctx, d)
		w.judgeProof(ctx, d.Slug+", proof", broken)
	}
	// Whatever came of it, the next defect wants a good bundle.
	if undo := w.bring(ctx, d, broken, w.Dir); undo != nil {
		return seen, errors.Join(err, fmt.Errorf("it cannot be mended: %w", undo))
	}
	if mended := w.green(ctx, time.Minute); mended != nil {
		err = errors.Join(err, fmt.Errorf("mended, it still breaks: %w", mended))
	}
	return seen, err
}

// broken is the folder of the copy that is changed, gone with the sandbox.
const broken = "/run/broken"

// spoil copies the good bundle, and breaks the copy.
func (w *World) spoil(d *defects.Defect) error {
	return errors.Join(os.RemoveAll(broken), os.CopyFS(broken, os.DirFS(w.Dir)), d.Apply(broken))
}

// bring gives the clusters what is different in another tree, as somebody would do it by hand.
func (w *World) bring(ctx context.Context, d *defects.Defect, from, to string) error {
	var files []string
	for _, it := range d.Changes {
		if !slices.Contains(files, it.File) {
			files = append(files, it.File)
		}
	}
	for _, file := range files {
		name := clusterOf(file)
		folder := filepath.Join("out", name)
		if file == filepath.Join(folder, "10-istio", "istio-operator.yaml") {
			if err := w.installIstio(ctx, name, filepath.Join(to, folder)); err != nil {
				return err
			}
			continue
		}
		gone, changed, err := difference(filepath.Join(from, file), filepath.Join(to, file))
		if err != nil {
			return err
		}
		if gone != "" {
			if _, err := w.Clusters[name].Kubectl(ctx, gone, "delete", "-f", "-"); err != nil {
				return err
			}
		}
		if changed != "" {
			if _, err := w.Clusters[name].Kubectl(ctx, changed, "apply", "-f", "-"); err != nil {
				return err
			}
		}
	}
	for _, it := range d.Restart {
		part := strings.Split(it, "/")
		c := w.Clusters[part[0]]
		if _, err := c.Kubectl(ctx, "", "rollout", "restart", "-n", part[1], "deployment/"+part[2]); err != nil {
			return err
		}
		if _, err := c.Kubectl(ctx, "", "rollout", "status", "-n", part[1], "deployment/"+part[2], "--timeout=2m"); err != nil {
			return err
		}
	}
	for _, it := range w.Clusters {
		if err := it.Available(ctx, 2*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// clusterOf is the cluster of a file of a case.
func clusterOf(file string) string { return strings.Split(file, "/")[1] }

// difference is what of a file is gone in another, and what is new or changed there.
func difference(from, to string) (gone, changed string, err error) {
	before, err := defects.Objects(from)
	if err != nil {
		return "", "", err
	}
	after, err := defects.Objects(to)
	if err != nil {
		return "", "", err
	}
	for _, it := range before {
		if !slices.ContainsFunc(after, func(o defects.Object) bool { return o.Key() == it.Key() }) {
			gone += it.Text
		}
	}
	for _, it := range after {
		if !slices.ContainsFunc(before, func(o defects.Object) bool { return o == it }) {
			changed += it.Text
		}
	}
	return gone, changed, nil
}

// red waits until the call ends as it is told, and goes on doing so.
func (w *World) red(ctx context.Context, d *defects.Defect) (seen string, err error) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		if seen, err = w.fails(ctx, d, false); err != nil {
			continue
		}
		// Once more, for what is only a moment between two states, and with what Envoy says of it.
		sleep(ctx, time.Second)
		if seen, err = w.fails(ctx, d, true); err == nil {
			return "red: " + seen, nil
		}
	}
	return "seen: " + seen, err
}

// fails makes the call three times, and says what is wrong unless each time it ends as it is told.
func (w *World) fails(ctx context.Context, d *defects.Defect, listen bool) (seen string, err error) {
	c, err := w.find(*d.Breaks)
	if err != nil {
		return "", err
	}
	forgetConnections(c.cluster, c.from)
	log := w.accessLog(c)
	c.request.count, c.request.timeout = 3, 3*time.Second
	results, err := c.request.make(ctx, c.from)
	if err != nil {
		return "", err
	}
	expression := regexp.MustCompile(d.Seen)
	for _, it := range results {
		failure := w.right(c, it, w.Topology.Answers(c.callee, c.cluster).First())
		if failure == nil {
			return "", fmt.Errorf("%s: it is answered", *d.Breaks)
		}
		seen = oneLine(failure.Error())
		if !it.OK {
			seen = told{it.Error, fmt.Sprint(it.Status), it.Body}.String()
		}
		if !expression.MatchString(seen) {
			return seen, fmt.Errorf("not %s", d.Seen)
		}
	}
	if !listen {
		return seen, nil
	}
	envoy := log.told(ctx)
	if !regexp.MustCompile(d.Envoy).MatchString(envoy.String()) {
		err = fmt.Errorf("its Envoy does not write %s", d.Envoy)
	}
	return strings.TrimPrefix(envoy.String()+": "+seen, ": "), err
}

// find is the declared call, from a pod that runs now.
func (w *World) find(it defects.Call) (call, error) {
	list, missing := w.calls()
	for _, c := range list {
		if c.caller.Key == it.Caller && c.cluster == it.Cluster && c.callee.Key == it.Callee &&
			(it.Port == "" || c.callee.Ports[it.Port] == c.port) {
			return c, nil
		}
	}
	return call{}, errors.Join(fmt.Errorf("%s: no such call", it), missing)
}

// still says which of the calls that go on working do not.
func (w *World) still(ctx context.Context, d *defects.Defect) error {
	for _, it := range d.Still {
		c, err := w.find(it)
		if err == nil {
			err = w.answered(ctx, c, w.Topology.Answers(c.callee, c.cluster))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", it, err)
		}
	}
	return nil
}

// green waits until every declared call is answered.
func (w *World) green(ctx context.Context, limit time.Duration) error {
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && ctx.Err() == nil; sleep(ctx, 300*time.Millisecond) {
		var list []call
		if list, err = w.calls(); err != nil {
			continue
		}
		for _, c := range list {
			forgetConnections(c.cluster, c.from)
		}
		var all errgroup.Group
		all.SetLimit(4)
		for _, c := range list {
			all.Go(func() error {
				if err := w.answered(ctx, c, w.Topology.Answers(c.callee, c.cluster)); err != nil {
					return fmt.Errorf("%s: %w", c, err)
				}
				return nil
			})
		}
		if err = all.Wait(); err == nil {
			return nil
		}
	}
	return err
}

// forgetConnections ends the connections of a caller's pod, but that to istiod: those that Envoy has
// keep working for minutes or hours whatever is broken meanwhile, and hide it from the next call.
func forgetConnections(name string, from *cluster.Pod) {
	pods, _ := filepath.Glob("/run/netns/pod-" + name + "-*")
	which := fmt.Sprintf("src %s and not dst 127.0.0.0/8 and dport != :15012", from.Address())
	for _, it := range pods {
		_ = exec.Command("nsenter", "--net="+it, "ss", "-KHt", "state", "established", which).Run()
	}
}

// accessLog is what the caller's Envoy writes of calls from now on.
type accessLog struct {
	path  string
	since time.Time
}

func (w *World) accessLog(c call) accessLog {
	name := fmt.Sprintf("%s.%s.istio-proxy.log", c.caller.Namespace, c.from.Name())
	return accessLog{filepath.Join(w.Clusters[c.cluster].Logs, name), time.Now().Truncate(time.Millisecond)}
}

// told is what a program says of a call: Envoy its flags, details, why the other end is not reached, and
// the cluster that was meant; the application its error, status and body.
type told []string

func (t told) String() string {
	words := slices.DeleteFunc(slices.Clone(t), func(it string) bool { return it == "" || it == "-" || it == "<nil>" })
	return oneLine(strings.Join(words, " "))
}

var accessLine = regexp.MustCompile(`(?m)^\[(\S+)\] "[^"]*" \d+ (\S+) (\S+) \S+ "([^"]*)" .*" (\S+)(?: \S+){5}$`)

// told is of the caller's last call. Envoy writes it within a second, but not before the connection
// ends: nothing of calls that wait until nobody listens any more.
func (l accessLog) told(ctx context.Context) (last told) {
	for range 15 {
		sleep(ctx, 100*time.Millisecond)
		text, err := os.ReadFile(l.path)
		if err != nil {
			return nil
		}
		for _, it := range accessLine.FindAllStringSubmatch(string(text), -1) {
			began, err := time.Parse(time.RFC3339, it[1])
			if err == nil && !began.Before(l.since) && !strings.HasPrefix(it[5], "inbound|") {
				last = it[2:]
			}
		}
		if last != nil {
			return last
		}
	}
	return nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
