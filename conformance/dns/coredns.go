// CoreDNS in a pod.
package dns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// container is what runs in a pod.
type container struct {
	program   string
	arguments []string
	variables []string
	files     map[string]string // texts, by path: below /etc, or of the service account
	user      int64
}

// process is a CoreDNS that has started.
type process struct {
	mutex   sync.Mutex
	said    bytes.Buffer
	started chan struct{}
	ended   chan struct{}
}

// Write takes what CoreDNS says; with its version it says that it serves.
func (p *process) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	before := strings.Contains(p.said.String(), "\nCoreDNS-")
	p.said.Write(text)
	if !before && strings.Contains(p.said.String(), "\nCoreDNS-") {
		close(p.started)
	}
	return len(text), nil
}

// runs is an error if it runs no longer.
func (p *process) runs() error {
	select {
	case <-p.ended:
		p.mutex.Lock()
		defer p.mutex.Unlock()
		lines := strings.Split(strings.TrimSpace(p.said.String()), "\n")
		return fmt.Errorf("it ended: %s", strings.Join(lines[max(0, len(lines)-3):], "; "))
	default:
		return nil
	}
}

// enter furnishes the pod: its /etc holds its files only. The folder of these is gone from sight by then.
const enter = `
	program=$1 user=$2
	cd "$3"
	shift 3
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 etc /etc
	mkdir -p /run/secrets
	mount -t tmpfs -o mode=755 secrets /run/secrets
	cp -R . /
	touch /etc/program
	mount --bind "$program" /etc/program
	cd /
	exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs /etc/program "$@"`

// start starts CoreDNS in a pod and returns when it serves.
func (n *node) start(p *pod, c container) (*process, error) {
	files, err := os.MkdirTemp("", "dns")
	if err != nil {
		return nil, err
	}
	n.closers = append(n.closers, func() { _ = os.RemoveAll(files) })
	texts := map[string]string{"/etc/resolv.conf": "nameserver " + upstreamAddress.Addr().String() + "\n"}
	for path, text := range c.files {
		texts[path] = text
	}
	for path, text := range texts {
		path = filepath.Join(files, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return nil, err
		}
	}
	program, err := filepath.Abs(c.program)
	if err != nil {
		return nil, err
	}
	it := &process{started: make(chan struct{}), ended: make(chan struct{})}
	command := exec.Command("sh", append([]string{"-ec", enter, "sh", program, fmt.Sprint(c.user), files}, c.arguments...)...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.variables...)
	command.Stdout, command.Stderr = it, it
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := within(p.namespace, command.Start); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait()
		close(it.ended)
	}()
	n.closers = append(n.closers, func() {
		_ = command.Process.Kill()
		<-it.ended
	})
	select {
	case <-it.started:
		return it, nil
	case <-it.ended:
		return nil, it.runs()
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("it does not start within a minute: %s", it.said.String())
	}
}

// healthy asks until a probe's answer is good.
func (n *node) healthy(p *pod, port int, path string) error {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, to string) (net.Conn, error) {
			return dial(n.namespace, network, to)
		},
	}}
	url := "http://" + netip.AddrPortFrom(p.address, uint16(port)).String() + path
	var err error
	for end := time.Now().Add(3 * patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var reply *http.Response
		if reply, err = client.Get(url); err != nil {
			continue
		}
		_ = reply.Body.Close()
		if reply.StatusCode == http.StatusOK {
			return nil
		}
		err = errors.New(reply.Status)
	}
	return fmt.Errorf("probe %s: %w", url, err)
}
