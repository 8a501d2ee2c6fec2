package route

import (
	"fmt"
	"testing"

	"meshlatch/conformance/topology"
)

func TestHostAndPortApartAreOneAddress(t *testing.T) {
	call := topology.Call{Forms: map[string]string{
		"URL": "http://{host}:{port}/api", "BASE": "http://{host}", "HOST": "{host}", "PORT": "{port}", "MODE": "far",
	}}
	if got := fmt.Sprint(variables(call)); got != "[BASE URL HOST:PORT]" {
		t.Error(got)
	}
}
