// The subcommand `load`: calls at a steady rate, and a report of them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	maxInFlight   = 200
	shownFailures = 50
)

func loadCommand(ctx context.Context, arguments []string) error {
	set := flags("load")
	read := targetFlags(set, 3*time.Second)
	rate := set.Float64("rate", 20, "calls a second")
	keep := set.Bool("keep", false, "share connections among the calls, rather than one a call")
	limit := set.Duration("for", 10*time.Minute, "how long, unless a signal ends it")
	each := set.Bool("each", false, "a line for each call as it ends, before the report")
	attended := set.Bool("attended", false, "end when standard input does, too")
	set.Parse(arguments)
	t, err := read()
	if err != nil {
		return err
	}
	if *rate <= 0 {
		return errors.New("--rate is calls a second, more than none")
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if *attended {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	r := newReport()
	if *each {
		r.lines = out
	}
	load(ctx, t, *rate, *keep, r)
	return out.Encode(r)
}

// made is a call of a load.
type made struct {
	At time.Time `json:"at"` // when it began
	result
}

// report is what came of a load, in the order in which calls ended.
type report struct {
	Calls       int            `json:"calls"`
	Failed      int            `json:"failed"`
	ByCluster   map[string]int `json:"byCluster"`
	ByPod       map[string]int `json:"byPod"`
	Failures    []failure      `json:"failures"` // the first ones
	Transitions []transition   `json:"transitions"`

	last  string        // the cluster of the last answer
	lines *json.Encoder // for each call, if anybody wants them
}

type failure struct {
	At           time.Time `json:"at"` // when the call began
	Error        string    `json:"error"`
	Status       any       `json:"status,omitempty"`
	Milliseconds int64     `json:"ms"`
}

// transition is an answer from another cluster than the answer before.
type transition struct {
	At      time.Time `json:"at"` // when the answer came
	Cluster string    `json:"cluster"`
}

func newReport() *report {
	return &report{ByCluster: map[string]int{}, ByPod: map[string]int{}, Failures: []failure{}, Transitions: []transition{}}
}

func (r *report) add(began time.Time, got result) {
	r.Calls++
	if r.lines != nil {
		_ = r.lines.Encode(made{began.UTC(), got}) // who does not listen any more misses nothing
	}
	if !got.OK {
		r.Failed++
		if len(r.Failures) < shownFailures {
			r.Failures = append(r.Failures, failure{began.UTC(), got.Error, got.Status, got.Milliseconds})
		}
		return
	}
	by := got.Answer
	r.ByCluster[by.Cluster]++
	r.ByPod[by.Pod]++
	if r.last != "" && r.last != by.Cluster {
		r.Transitions = append(r.Transitions, transition{time.Now().UTC(), by.Cluster})
	}
	r.last = by.Cluster
}

// load calls until the context ends, however slow the answers are, and waits for those that are due.
func load(ctx context.Context, t target, rate float64, keep bool, r *report) {
	ask := func() result { return askOnce(t) }
	if keep {
		shared := newClient(t)
		defer shared.close()
		ask = shared.ask
	}
	var counting sync.Mutex
	add := func(began time.Time, got result) {
		counting.Lock()
		defer counting.Unlock()
		r.add(began, got)
	}
	var flights sync.WaitGroup
	slots := make(chan struct{}, maxInFlight)
	ticks := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticks.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		select {
		case slots <- struct{}{}:
			flights.Go(func() {
				add(began, ask())
				<-slots
			})
		default:
			// To wait would hide an outage in a lower rate.
			add(began, result{Error: fmt.Sprintf("not made: %d calls are in flight", maxInFlight)})
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
		}
	}
	flights.Wait()
}
