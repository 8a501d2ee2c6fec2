// What a cluster's DNS is before a script changes it: as its provider makes it, with an entry of somebody else.
package dns

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// kubernetesBlock is that of kubeadm, EKS and AKS.
const kubernetesBlock = `    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
`

const corpBlock = `corp.example.com:53 {
    errors
    cache 30
    forward . 10.1.2.3
}
`

// oldBlock is that of kubeadm 1.13, with CoreDNS 1.2.
const oldBlock = `    errors
    health
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       upstream
       fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    proxy . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
`

// aksCorefile imports the keys of coredns-custom.
const aksCorefile = ".:53 {\n" + kubernetesBlock + `    import custom/*.override
    template ANY ANY internal.cloudapp.net {
      match "^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$"
      rcode NXDOMAIN
      fallthrough
    }
    template ANY ANY reddog.microsoft.com {
      rcode NXDOMAIN
    }
}
import custom/*.server
`

// nodeLocalCorefile is that of Kubernetes' add-on, with its usual addresses.
const nodeLocalCorefile = `cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 169.254.20.10 10.0.0.10
    forward . 10.0.0.11 {
            force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.0.0.10
    forward . 10.0.0.11 {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.0.0.10
    forward . /etc/resolv.conf
    prometheus :9253
    }
`

// live is the object that a script finds.
func live(provider, version string) object {
	config := func(name string, data object) object {
		return object{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": object{"name": name, "namespace": "kube-system", "resourceVersion": "1"}, "data": data}
	}
	switch provider {
	case "kube-dns":
		return config("kube-dns", object{"stubDomains": `{"corp.example.com": ["10.1.2.3", "10.1.2.4:5353"]}`})
	case "nodelocal-dns":
		return config("node-local-dns", object{"Corefile": nodeLocalCorefile})
	case "aks":
		return config("coredns-custom", object{"corp.server": corpBlock, "log.override": "log\n"})
	case "openshift":
		return object{"apiVersion": "operator.openshift.io/v1", "kind": "DNS",
			"metadata": object{"name": "default", "resourceVersion": "1"},
			"spec": object{"servers": []any{object{"name": "corp", "zones": []any{"corp.example.com"},
				"forwardPlugin": object{"policy": "Random", "upstreams": []any{"10.1.2.3"}}}}}}
	default:
		block := kubernetesBlock
		if version != "" && before14(version) {
			block = oldBlock
		}
		return config("coredns", object{"Corefile": ".:53 {\n" + block + "}\n" + corpBlock})
	}
}

// before14 says whether a version of CoreDNS is older than 1.4, which dropped `proxy`.
func before14(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major < 1 || major == 1 && minor < 4)
}

// kubectl keeps one object in a file.
const kubectl = `#!/bin/sh
set -eu
object=$(dirname "$0")/object.json
[ "$1" = --context ]
shift 2
[ "$1" != -n ] || shift 2
case $1 in
    get) cat "$object" ;;
    replace) cp "$3" "$object" ;;
    *) exit 1 ;;
esac
`

// applied is an object after a bundle's script.
func applied(script string, before object) (object, error) {
	folder, err := os.MkdirTemp("", "dns")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	text, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "object.json")
	if err := errors.Join(
		os.WriteFile(file, text, 0o644),
		os.WriteFile(filepath.Join(folder, "kubectl"), []byte(kubectl), 0o755),
	); err != nil {
		return nil, err
	}
	command := exec.Command("sh", script)
	command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	if text, err = os.ReadFile(file); err != nil {
		return nil, err
	}
	after := object{}
	return after, json.Unmarshal(text, &after)
}
