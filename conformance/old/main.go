// Judges bundles for the old line of Istio by the programs of its releases; `run` builds them.
//
// `install.go` judges what the release's installer makes of the install files, `calls.go` what its pilot
// makes of everything. What is not judged is said in conformance/README.md.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"sigs.k8s.io/yaml"

	"meshlatch/conformance/report"
	"meshlatch/conformance/topology"
)

// line finds the programs of a release: one for all of its patches.
var line = regexp.MustCompile(`^1\.[4-8]\.`)

// programs is the folder of the programs: istio-1.4 and so on, and istio-1.4-charts where they are not compiled in.
var programs = os.Getenv("OLD_PROGRAMS")

func main() {
	r := report.New(os.Stdout)
	for _, dir := range os.Args[1:] {
		judge(r.Case(filepath.Base(dir)), dir)
	}
	if !r.Table() {
		os.Exit(1)
	}
}

func judge(c *report.Case, dir string) {
	t, err := topology.Read(filepath.Join(dir, "topology.yaml"))
	if err != nil {
		c.Judge("topology.yaml", err)
		return
	}
	var written object
	if file, err := os.ReadFile(filepath.Join(dir, "topology.yaml")); err != nil || yaml.Unmarshal(file, &written) != nil {
		c.Judge("topology.yaml", errors.New("it is not YAML"))
		return
	}
	if t.Old() == "" {
		c.Skip("everything", "no cluster is of the old line")
		return
	}
	worlds := map[string]*world{}
	for i, name := range topology.Keys(t.Clusters) {
		release := line.FindString(t.Clusters[name].Istio)
		if release != "" {
			if !exists(program(release[:3])) {
				c.Skip(name, "there is no program of Istio "+release[:3])
				continue
			}
		}
		if release == "" {
			c.Skip(name, "its release is of today: conformance/follow")
			continue
		}
		if !exists(filepath.Join(dir, "out", name)) {
			c.Skip(name, "it has no bundle yet")
			continue
		}
		w, err := open(t, written, name, filepath.Join(dir, "out", name), release[:3], i)
		c.Judge(fmt.Sprintf("%s: Istio %s accepts the install file", name, release[:3]), err)
		if err != nil {
			continue
		}
		w.judgeInstall(c)
		if err := w.ask(); err != nil {
			c.Judge(name+": pilot takes every object", err)
			continue
		}
		c.Judge(name+": pilot takes every object", w.refused())
		worlds[name] = w
	}
	judgeCalls(c, t, worlds)
}
