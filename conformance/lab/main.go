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
	"strings"
	"syscall"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/report"
	"meshlatch/conformance/route"
)

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
	if err := cluster.Sandbox(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	var settings route.Settings
	flags.StringVar(&settings.Programs, "programs", "", "the `folder` with the real programs")
	flags.StringVar(&settings.Meshlatch, "meshlatch", "meshlatch", "the `program` under test")
	flags.StringVar(&settings.Logs, "logs", "", "a `folder` for what programs say")
	wait := flags.Bool("wait", false, "leave the clusters of a case running until interrupted")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("usage: lab [flags] accept|route CASE")
	}
	r := report.New(os.Stdout)
	tier, cases := flags.Arg(0), flags.Args()[1:]
	switch tier {
	case "route":
		for _, dir := range cases {
			s := settings
			s.Logs = filepath.Join(settings.Logs, strings.ReplaceAll(filepath.Clean(dir), "/", "_"))
			if err := route.Run(ctx, s, r.Case(dir), dir, *wait); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("no such tier: %s", tier)
	}
	if !r.Table() {
		os.Exit(1)
	}
	return nil
}
