// Package report counts what was judged and prints a line for each.
package report

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"meshlatch/conformance/proof"
)

// Report is what was judged, by case. It may be used from several goroutines.
type Report struct {
	out   io.Writer
	began time.Time
	mutex sync.Mutex
	order []string
	cases map[string]*count
	sums  []sum // of what was compared, in order
}

// sum is what came of all comparisons of a kind.
type sum struct {
	of string
	proof.Agreement
}

type count struct{ passed, failed, skipped int }

// New makes a report that prints its lines as they come.
func New(out io.Writer) *Report {
	return &Report{out: out, began: time.Now(), cases: map[string]*count{}}
}

// Case is the part of a report that belongs to one case.
type Case struct {
	report *Report
	name   string
}

// Case opens the part of a case.
func (r *Report) Case(name string) *Case {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.cases[name] == nil {
		r.order = append(r.order, name)
		r.cases[name] = &count{}
	}
	return &Case{r, name}
}

func (c *Case) add(word, what string, note any, to func(*count) *int) {
	c.report.mutex.Lock()
	defer c.report.mutex.Unlock()
	*to(c.report.cases[c.name])++
	line := fmt.Sprintf("%-5s %s: %s", word, c.name, what)
	if note != nil {
		line += fmt.Sprintf(": %v", note)
	}
	fmt.Fprintln(c.report.out, line)
}

// Judge counts one judgement; an error fails it.
func (c *Case) Judge(what string, err error) {
	if err != nil {
		c.add("FAIL", what, err, func(n *count) *int { return &n.failed })
		return
	}
	c.add("ok", what, nil, func(n *count) *int { return &n.passed })
}

// Skip counts what could not be judged, and says why.
func (c *Case) Skip(what, why string) {
	c.add("skip", what, why, func(n *count) *int { return &n.skipped })
}

// Compare adds calls of which a proof says something to those of their kind, and judges whether it is right.
func (c *Case) Compare(of, what string, a proof.Agreement) {
	c.report.mutex.Lock()
	i := slices.IndexFunc(c.report.sums, func(it sum) bool { return it.of == of })
	if i < 0 {
		i = len(c.report.sums)
		c.report.sums = append(c.report.sums, sum{of: of})
	}
	c.report.sums[i].Add(a)
	c.report.mutex.Unlock()
	c.Judge(fmt.Sprintf("%s: %s", what, a), a.Err())
}

// Progress says what is going on and how long the run takes so far, and counts nothing.
func (c *Case) Progress(format string, arguments ...any) {
	c.report.mutex.Lock()
	defer c.report.mutex.Unlock()
	since := time.Since(c.report.began).Round(time.Second)
	fmt.Fprintf(c.report.out, "%5s %s: %s\n", since, c.name, fmt.Sprintf(format, arguments...))
}

// Table prints a line for each case, then the sum and what came of proofs, and says whether nothing failed.
func (r *Report) Table() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var all count
	t := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\ncase\tpassed\tfailed\tskipped")
	for _, name := range r.order {
		it := r.cases[name]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", name, it.passed, it.failed, it.skipped)
		all.passed, all.failed, all.skipped = all.passed+it.passed, all.failed+it.failed, all.skipped+it.skipped
	}
	_ = t.Flush()
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", all.passed, all.failed, all.skipped)
	for _, it := range r.sums {
		fmt.Fprintf(r.out, "%s: %s\n", it.of, it.Agreement)
	}
	return all.failed == 0
}
