// Inside a container: from a process of ours to the program of an image.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// jail is a container's surroundings. Its processes already have namespaces of their own, except for the
// network, which is the pod's.
type jail struct {
	Namespace string            // of the network
	Root      string            // an empty folder
	Host      string            // name
	Files     map[string]string // contents, by path
	Binds     []bind
	Directory string
	Arguments []string
	Variables []string
	User      int
	Group     int
	Groups    []int
}

type bind struct{ From, To string }

// Container becomes the program of a container; it is what the subcommand `container` runs. It returns
// only if that fails.
func Container(specification string) error {
	runtime.LockOSThread()
	text, err := os.ReadFile(specification)
	if err != nil {
		return err
	}
	var j jail
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	if err := j.enter(); err != nil {
		return err
	}
	program, err := j.find()
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, j.Arguments, j.Variables))
}

func (j *jail) enter() error {
	fd, err := unix.Open("/run/netns/"+j.Namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := j.mount(); err != nil {
		return err
	}
	if err := errors.Join(unix.Sethostname([]byte(j.Host)), unix.Chroot(j.Root), os.Chdir("/")); err != nil {
		return err
	}
	if j.Directory != "" {
		if err := os.Chdir(j.Directory); err != nil {
			return err
		}
	}
	return errors.Join(syscall.Setgroups(j.Groups), syscall.Setgid(j.Group), syscall.Setuid(j.User))
}

// mount furnishes the root: this machine's /usr, read-only to who is not root, a new /etc, what the
// image and the volumes hold.
func (j *jail) mount() error {
	at := func(path string) string { return filepath.Join(j.Root, path) }
	if err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", j.Root, "tmpfs", 0, "mode=0755"),
	); err != nil {
		return err
	}
	for _, dir := range []string{"/usr", "/dev", "/proc", "/sys", "/etc", "/run", "/var/lib", "/tmp", "/home"} {
		if err := os.MkdirAll(at(dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if target, err := os.Readlink(dir); err == nil {
			if err := os.Symlink(target, at(dir)); err != nil {
				return err
			}
		} else if exists(dir) {
			j.Binds = append([]bind{{dir, dir}}, j.Binds...)
		}
	}
	if err := errors.Join(
		unix.Mount("/usr", at("/usr"), "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("tmpfs", at("/usr/local/bin"), "tmpfs", 0, "mode=0755"),
		unix.Mount("/dev", at("/dev"), "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("proc", at("/proc"), "proc", 0, ""),
		unix.Mount("sysfs", at("/sys"), "sysfs", 0, ""),
		os.Chmod(at("/tmp"), 0o777|os.ModeSticky),
		os.Symlink("../run", at("/var/run")),
		os.Symlink("../tmp", at("/var/tmp")),
	); err != nil {
		return err
	}
	for path, text := range j.Files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(path)), 0o755), os.WriteFile(at(path), []byte(text), 0o644)); err != nil {
			return err
		}
	}
	for _, it := range j.Binds {
		if err := bindMount(it.From, at(it.To)); err != nil {
			return fmt.Errorf("mount %s at %s: %w", it.From, it.To, err)
		}
	}
	return nil
}

func bindMount(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil && !exists(to) {
		err = os.WriteFile(to, nil, 0o644)
	}
	return errors.Join(err, unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""))
}

// find looks the program up as a shell would.
func (j *jail) find() (string, error) {
	if len(j.Arguments) == 0 {
		return "", errors.New("a container without a command")
	}
	if err := os.Setenv("PATH", searchPath); err != nil {
		return "", err
	}
	return exec.LookPath(j.Arguments[0])
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
