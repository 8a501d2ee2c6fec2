// OpenShift: the Corefile that its DNS operator makes of the object `DNS`.
package dns

import (
	"encoding/json"
	"fmt"
	"strings"
)

// corefileOfOperator has what the operator of 4.x writes: each server as a block before that of the cluster, all on
// port 5353, to which its Service leads.
func corefileOfOperator(o object) string {
	var servers []struct {
		Name          string
		Zones         []string
		ForwardPlugin struct {
			Policy    string
			Upstreams []string
		}
	}
	text, err := json.Marshal(at(o, "spec", "servers"))
	if err == nil {
		err = json.Unmarshal(text, &servers)
	}
	if err != nil {
		return "# " + err.Error()
	}
	const common = "    errors\n    log . {\n        class error\n    }\n    bufsize 1232\n" +
		"    cache 900 {\n        denial 9984 30\n    }\n    prometheus 127.0.0.1:9153\n"
	var corefile strings.Builder
	for _, it := range servers {
		fmt.Fprintf(&corefile, "# %s\n%s:5353 {\n%s    forward . %s {\n        policy %s\n    }\n}\n",
			it.Name, strings.Join(it.Zones, ":5353 "), common, strings.Join(it.ForwardPlugin.Upstreams, " "), policies[it.ForwardPlugin.Policy])
	}
	fmt.Fprintf(&corefile, ".:5353 {\n%s%s}\nhostname.bind:5353 {\n    chaos\n}\n", common, `    health {
        lameduck 20s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf {
        policy sequential
    }
    reload
`)
	return corefile.String()
}

// policies are the operator's words for those of CoreDNS.
var policies = map[string]string{"": "random", "Random": "random", "RoundRobin": "round_robin", "Sequential": "sequential"}
