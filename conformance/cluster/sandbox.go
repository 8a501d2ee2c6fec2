// Package cluster runs real Kubernetes clusters on one machine: etcd, kube-apiserver,
// kube-controller-manager and kube-proxy in a network namespace of each cluster, pods in namespaces of
// their own, and a small kubelet that starts them.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside tells a child that the namespaces around it are its own.
const inside = "MESHLATCH_SANDBOX"

// ErrNoRights says that this machine does not let us make namespaces.
var ErrNoRights = errors.New("no right to make namespaces here: run it as root")

// Sandbox runs the program again in namespaces of its own for network, mounts, processes, IPC and host
// name, and exits as it does. Whatever that child and its children make there, addresses, rules, mounts,
// files below /run, goes when the child ends, however it ends. In the child it returns.
func Sandbox() error {
	if Sandboxed() {
		return furnish()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self, os.Args[1:]...)
	command.Env = append(os.Environ(), inside+"=1")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The terminal tells both of us; the child ends first, and we with it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := command.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			return ErrNoRights
		}
		return err
	}
	go func() {
		for range signals {
			_ = command.Process.Kill()
		}
	}()
	err = command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			os.Exit(130)
		}
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// furnish makes the sandbox a place to work in.
func furnish() error {
	steps := []error{
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"),
		os.MkdirAll("/run/netns", 0o755),
		os.MkdirAll("/run/tmp", 0o777|os.ModeSticky),
		os.Setenv("TMPDIR", "/run/tmp"),
		run("ip", "link", "set", "lo", "up"),
	}
	return errors.Join(steps...)
}

// Sandboxed says whether we are in a sandbox.
func Sandboxed() bool { return os.Getenv(inside) != "" }

// run runs a command and tells what it said if it fails.
func run(name string, arguments ...string) error {
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// script runs lines of a shell script, which stops at the first that fails.
func script(lines string) error {
	return run("sh", "-euc", lines)
}
