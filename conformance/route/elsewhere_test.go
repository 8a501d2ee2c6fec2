package route

import (
	"path/filepath"
	"testing"

	"meshlatch/conformance/topology"
)

func TestTargetOf(t *testing.T) {
	topo, err := topology.Read(filepath.Join("..", "..", "tests", "golden", "target_ports", "topology.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"number": 8080, "known": 8080, "elsewhere": 18000} {
		s := topo.Services[name]
		if got := targetOf(s, s.Ports["http"], 0); got != want {
			t.Errorf("%s listens on %d, not %d", name, got, want)
		}
	}
}
