// A case from the first cluster to the last judgement.
package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

// Run opens a case, judges it, and closes it.
func Run(ctx context.Context, settings Settings, c *report.Case, dir string, wait bool) error {
	if err := settings.clearLogs(); err != nil {
		return err
	}
	t, err := topology.Read(filepath.Join(dir, "topology.yaml"))
	if err == nil && t.Old() != "" {
		// No Envoy that can be had does what that release asks of it (conformance/old judges those).
		twin := filepath.Join(settings.Logs, "today")
		refused, err := ofToday(settings, dir, twin)
		if err != nil {
			return err
		}
		if refused != "" {
			c.Skip("calls", "today's line has no such clusters: "+refused)
			return nil
		}
		c.Progress("the clusters of the old line run today's")
		dir = twin
	}
	if err == nil {
		if why := nothingToCall(t, dir); why != "" {
			c.Skip("calls", why)
			return nil
		}
	}
	w, err := Open(ctx, settings, c, dir)
	if w != nil {
		defer w.Close()
	}
	c.Judge("every cluster comes up as its runbook says", err)
	if err == nil {
		w.judge(ctx)
	}
	if wait {
		fmt.Println("the clusters run until interrupted")
		<-ctx.Done()
	}
	return ctx.Err()
}

// nothingToCall says why a case has no call that could be made, if it has none.
func nothingToCall(t *topology.Topology, dir string) string {
	calls := len(t.Ingress) + len(t.Externals)
	for _, s := range t.Services {
		calls += len(s.Calls)
	}
	if calls == 0 {
		return "nobody calls anybody"
	}
	for _, name := range topology.Keys(t.Clusters) {
		if _, err := os.Stat(filepath.Join(dir, "out", name)); errors.Is(err, os.ErrNotExist) {
			return name + " has no bundle yet, it waits for an address"
		}
	}
	return ""
}

// judge makes every call that the case tells something about. What harms the clusters comes last.
func (w *World) judge(ctx context.Context) {
	w.judgeCalls(ctx)
	w.judgeIdentities(ctx)
	w.judgeIngress(ctx)
	w.judgeExternals(ctx)
	w.judgeUndeclared(ctx)
	w.judgeStrangers(ctx)
	w.judgePlain(ctx)
	w.judgeProof(ctx, "proof", w.Dir)
	w.judgeShares(ctx)
	w.judgeAddresses(ctx)
	w.judgeFailover(ctx)
}
