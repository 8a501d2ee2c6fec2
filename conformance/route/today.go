// A case of the old line, as it is on today's.
package route

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	oldRelease = regexp.MustCompile(`(istio: *)"1\.[4-8]\.[0-9]+"`)
	// The Kubernetes of those days is too old for today's Istio.
	itsKubernetes = regexp.MustCompile(`,? *kubernetes: "1\.1[0-9]"`)
	refusal       = regexp.MustCompile(`(?m)^error\[.*`)
)

const today = `$1"1.31.0"`

// ofToday compiles a topology, with today's release in each cluster that has one of the old line, into a
// folder. It says why not where the compiler refuses what only the old line had.
func ofToday(settings Settings, dir, to string) (refused string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		return "", err
	}
	text = itsKubernetes.ReplaceAll(oldRelease.ReplaceAll(text, []byte(today)), nil)
	written := filepath.Join(to, "topology.yaml")
	if err := errors.Join(os.MkdirAll(to, 0o755), os.WriteFile(written, text, 0o644)); err != nil {
		return "", err
	}
	said, err := exec.Command(settings.Meshlatch, "compile", written, "-o", filepath.Join(to, "out")).CombinedOutput()
	if err == nil {
		return "", nil
	}
	if reason := refusal.Find(said); reason != nil {
		return string(reason), nil
	}
	return "", fmt.Errorf("meshlatch: %w: %s", err, strings.TrimSpace(string(said)))
}
