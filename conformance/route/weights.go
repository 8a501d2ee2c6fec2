// Shares: who answers how many of a number of calls.
package route

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	countedCalls = 400
	// Out of a million calm worlds, one is told wrong.
	deviations = 5
)

// judgeShares counts answers where clusters share the calls: by weights as the topology says, else each
// must get some. Of what is balanced by request, one connection shows the same.
func (w *World) judgeShares(ctx context.Context) {
	ways, err := w.ways()
	if err != nil {
		w.Case.Judge("callers", err)
	}
	var all errgroup.Group
	all.SetLimit(2)
	for _, it := range ways {
		if len(it.answers.First()) < 2 {
			continue
		}
		all.Go(func() error {
			w.Case.Judge(fmt.Sprintf("%s: shares %s", it.name, it.answers), it.shares(ctx, false))
			if it.answers.Shares != nil && carriesIdentity(it.protocol) {
				w.Case.Judge(fmt.Sprintf("%s, over one connection: shares %s", it.name, it.answers), it.shares(ctx, true))
			}
			return nil
		})
	}
	_ = all.Wait()
}

func (w way) shares(ctx context.Context, keep bool) error {
	a := asking{count: countedCalls, keep: keep, timeout: 10 * time.Second}
	if w.answers.Shares == nil {
		a.count = 100
	}
	results, err := w.ask(ctx, a)
	if err != nil {
		return err
	}
	got := map[string]int{}
	for _, it := range results {
		if !it.OK {
			return fmt.Errorf("no answer: %s %v %s", it.Error, it.Status, it.Body)
		}
		if it.Answer.Service != w.callee.Key || !slices.Contains(w.answers.First(), it.Answer.Cluster) {
			return fmt.Errorf("%s in %s %w", it.Answer.Service, it.Answer.Cluster, errElsewhere)
		}
		got[it.Answer.Cluster]++
	}
	return fair(got, w.answers.Shares, w.answers.First())
}

// fair says whether numbers of answers are those of shares, or, without shares, whether each got some.
func fair(got, shares map[string]int, clusters []string) error {
	var wrong []error
	all, sum := 0, 0
	for _, name := range clusters {
		all, sum = all+got[name], sum+shares[name]
	}
	for _, name := range clusters {
		if shares == nil {
			if got[name] == 0 {
				wrong = append(wrong, fmt.Errorf("%s got none of %d calls", name, all))
			}
			continue
		}
		share := float64(shares[name]) / float64(sum)
		expected := share * float64(all)
		if off := math.Abs(float64(got[name]) - expected); off > deviations*math.Sqrt(expected*(1-share)) {
			wrong = append(wrong, fmt.Errorf("%s got %d of %d calls, and %.0f would be right", name, got[name], all, expected))
		}
	}
	return errors.Join(wrong...)
}
