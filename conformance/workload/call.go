// The subcommand `call`: a number of calls, a line of JSON each.
package main

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func callCommand(arguments []string) error {
	set := flags("call")
	read := targetFlags(set, 2*time.Second)
	count := set.Int("count", 1, "how many calls")
	parallel := set.Int("parallel", 1, "how many workers share them")
	keep := set.Bool("keep", false, "one connection a worker, rather than one a call")
	set.Parse(arguments)
	t, err := read()
	if err != nil {
		return err
	}
	call(os.Stdout, t, *count, *parallel, *keep)
	return nil
}

func call(out io.Writer, t target, count, parallel int, keep bool) {
	var left atomic.Int64
	left.Store(int64(count))
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	var writing sync.Mutex
	var workers sync.WaitGroup
	for range max(parallel, 1) {
		workers.Go(func() {
			ask := func() result { return askOnce(t) }
			if keep {
				own := newClient(t)
				defer own.close()
				ask = own.ask
			}
			for left.Add(-1) >= 0 {
				got := ask()
				writing.Lock()
				lines.Encode(got)
				writing.Unlock()
			}
		})
	}
	workers.Wait()
}
