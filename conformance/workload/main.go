// Command workload stands in for every application of a lab: a server, a caller and a steady load.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The lab's containers have an /etc/resolv.conf and no libc that would read it.
	net.DefaultResolver = &net.Resolver{PreferGo: true}
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch arguments := os.Args[2:]; os.Args[1] {
	case "serve":
		err = serveCommand(untilSignal(syscall.SIGTERM))
	case "call":
		err = callCommand(arguments)
	case "load":
		err = loadCommand(untilSignal(syscall.SIGTERM, syscall.SIGINT), arguments)
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "workload %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func untilSignal(signals ...os.Signal) context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), signals...)
	return ctx
}

func usage() {
	fmt.Fprintln(os.Stderr, "call it as workload serve, workload call or workload load; -h after the word lists its flags")
	os.Exit(2)
}

// flags is a set that ends the program at a mistake.
func flags(name string) *flag.FlagSet {
	return flag.NewFlagSet("workload "+name, flag.ExitOnError)
}
