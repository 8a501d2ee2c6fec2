package defects

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"meshlatch/conformance/topology"
)

// Every defect is still one of the trees as they are now, and names calls that are declared.
func TestDefectsApply(t *testing.T) {
	list, err := Read(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		t.Run(d.Slug, func(t *testing.T) {
			dir, tree := filepath.Join("..", "..", d.Case), t.TempDir()
			if err := os.CopyFS(tree, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := d.Apply(tree); err != nil {
				t.Error(err)
			}
			file, err := topology.Read(filepath.Join(dir, "topology.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			calls := d.Still
			if d.Breaks != nil {
				calls = append(calls, *d.Breaks)
			}
			for _, it := range calls {
				if !declared(file, it) {
					t.Errorf("%s: no such call", it)
				}
			}
		})
	}
}

func declared(t *topology.Topology, c Call) bool {
	caller, callee := t.Services[c.Caller], t.Services[c.Callee]
	if caller == nil || callee == nil || !slices.Contains(caller.Clusters, c.Cluster) {
		return false
	}
	_, written := callee.Ports[c.Port]
	return (c.Port == "" || written) &&
		slices.ContainsFunc(caller.Calls, func(it topology.Call) bool { return it.Service == c.Callee })
}
