// Identity: over TCP a server does not see who calls, so its sidecar is asked.
package route

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// identityLog is an object of ours, not of the bundles: it has the sidecars of servers write down who
// connects. It changes nothing else.
const identityLog = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: meshlatch-lab-identity, namespace: istio-system}
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}}
    patch:
      operation: MERGE
      value:
        name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          access_log:
          - name: envoy.access_loggers.stdout
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                text_format_source: {inline_string: "` + identityLine + `\n"}
`

const identityLine = "meshlatch-identity %DOWNSTREAM_PEER_URI_SAN% port %DOWNSTREAM_LOCAL_PORT% of %REQUESTED_SERVER_NAME%"

// judgeIdentities makes every declared call over TCP and reads who its server's sidecar saw.
func (w *World) judgeIdentities(ctx context.Context) {
	list, err := w.calls()
	if err != nil {
		w.Case.Judge("callers", err)
	}
	for _, c := range list {
		if carriesIdentity(c.request.protocol) {
			continue
		}
		w.Case.Judge(fmt.Sprintf("%s: the sidecar sees who calls", c), w.seen(ctx, c))
	}
}

func (w *World) seen(ctx context.Context, c call) error {
	c.request.timeout = 5 * time.Second
	results, err := c.request.make(ctx, c.from)
	if err != nil {
		return err
	}
	it := results[0]
	if !it.OK {
		return fmt.Errorf("no answer: %s", it.Error)
	}
	want := w.Topology.Identity(topology.Caller{Cluster: c.cluster, Namespace: c.caller.Namespace, Account: c.caller.ServiceAccount})
	path := filepath.Join(w.Logs, it.Answer.Cluster, fmt.Sprintf("%s.%s.istio-proxy.log", c.callee.Namespace, it.Answer.Pod))
	// Envoy writes its log every ten seconds.
	return cluster.Eventually(ctx, time.Minute, func() error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var saw []string
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) != 6 || words[0] != "meshlatch-identity" || words[3] != fmt.Sprint(it.Answer.Port) {
				continue
			}
			if words[1] == want {
				return nil
			}
			saw = append(saw, words[1])
		}
		return fmt.Errorf("that of %s saw %v, not %s", it.Answer.Pod, saw, want)
	})
}
