// The lab: real clusters on one machine, in which compiled cases are judged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"meshlatch/conformance/accept"
	"meshlatch/conformance/cluster"
	"meshlatch/conformance/dns"
	"meshlatch/conformance/report"
	"meshlatch/conformance/route"
)

// The sandbox ends with the thread that made it: it is to be that of the whole program.
func init() { runtime.LockOSThread() }

func main() {
	if err := work(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(2)
	}
}

func work(arguments []string) error {
	if len(arguments) == 2 && arguments[0] == "container" {
		return cluster.Container(arguments[1])
	}
	if err := cluster.Sandbox(); errors.Is(err, cluster.ErrNoRights) && slices.Contains(arguments, "accept") {
		fmt.Fprintf(os.Stderr, "lab: %v; what needs them is skipped\n", err)
	} else if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	var settings route.Settings
	flags.StringVar(&settings.Programs, "programs", "", "the `folder` with the real programs")
	flags.StringVar(&settings.Meshlatch, "meshlatch", "meshlatch", "the `program` under test")
	flags.StringVar(&settings.Logs, "logs", "", "a `folder` for what programs say")
	definitions := flags.String("definitions", "", "the `folder` with CustomResourceDefinitions of every release")
	every := flags.Int("every", 1, "of the fields of a case, change every `n`th")
	wait := flags.Bool("wait", false, "leave the clusters of a case running until interrupted")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return errors.New("usage: lab [flags] accept CASE... | route CASE... | defects FOLDER")
	}
	r := report.New(os.Stdout)
	var err error
	switch tier, cases := flags.Arg(0), flags.Args()[1:]; tier {
	case "accept":
		accept.Run(ctx, accept.Settings{Programs: settings.Programs, Logs: settings.Logs, Definitions: *definitions}, r, cases)
		for _, dir := range cases {
			c := r.Case(dir)
			if !cluster.Sandboxed() {
				c.Skip("CoreDNS", cluster.ErrNoRights.Error())
				continue
			}
			dns.Judge(settings.Programs, dir, c.Judge, c.Skip)
		}
	case "route":
		err = routeAll(ctx, settings, r, cases, *wait)
	case "fields":
		for _, dir := range cases {
			s := settings
			s.Logs = logsOf(settings, dir)
			err = errors.Join(err, route.Fields(ctx, s, r.Case(dir), dir, *every))
		}
	case "defects":
		for _, folder := range cases {
			err = errors.Join(err, route.Defects(ctx, settings, r, folder, *wait))
		}
	default:
		return fmt.Errorf("no such tier: %s", tier)
	}
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if !r.Table() {
		os.Exit(1)
	}
	return nil
}

// logsOf is the folder for what programs say in a case.
func logsOf(settings route.Settings, dir string) string {
	return filepath.Join(settings.Logs, strings.ReplaceAll(filepath.Clean(dir), "/", "_"))
}

// routeAll judges one case after the other: a move has a plan, roll-outs have several topologies.
func routeAll(ctx context.Context, settings route.Settings, r *report.Report, cases []string, wait bool) error {
	for _, dir := range cases {
		s := settings
		s.Logs = logsOf(settings, dir)
		judge := route.Run
		if _, err := os.Stat(filepath.Join(dir, "PLAN.md")); err == nil {
			judge = route.Move
		} else if _, err := os.Stat(filepath.Join(dir, "all.yaml")); err == nil {
			judge = route.Rollouts
		}
		if err := judge(ctx, s, r.Case(dir), dir, wait); err != nil {
			return err
		}
	}
	return nil
}
