#!/bin/sh
# Definitions of custom resources that bundles use, from the Go modules which publish them.
#
#   LAB_CRDS=$(sh crds.sh)   fetches what is missing, prints the folder
#
# Needs: go, and a module proxy. Quiet on success.
#
# A line is a file of the folder, the module and its version, the module's h1: sum, and the file in it.
# Of each minor of Istio there is the patch that the module proxy gives and that is nearest to the last
# one. Before 1.22 istio.io/api had no tags: those are the commits that istio's own go.mod names at 1.5.2,
# 1.6.14, 1.7.8 and 1.8.5. The files are the same as in the charts of these releases. Istio 1.4 has its
# definitions in its own repository only, which the proxy does not give at that commit; nor does it give
# Sail's operator, and External Secrets newer than 0.9.
set -eu

crds=kubernetes/customresourcedefinitions.gen.yaml
table="
istio-1.5.2.yaml istio.io/api@v0.0.0-20200324230725-4b064f75ad8f h1:KIE2M1/XiG8YWNrk1Wkcp8cfWbZ0lDihUqtBCmlrMH0= $crds
istio-1.6.14.yaml istio.io/api@v0.0.0-20201113182140-d4b7e3fc2b44 h1:mfs4UJtpH8ElVEohFZw39qDGv9gg7TOkYVTwJZGQ5Yc= $crds
istio-1.7.8.yaml istio.io/api@v0.0.0-20210128181506-0c4b8e54850f h1:zUFsawgPj5oI9p5cf91YCExRlxLIVsEkIunN9ODUSJs= $crds
istio-1.8.5.yaml istio.io/api@v0.0.0-20210205171209-1744f93fc684 h1:LvFZ16dAbfVGhXkofXlRCeUB7tV7SpyCAbpSYgqmbpw= $crds
istio-1.22.0.yaml istio.io/api@v1.22.0 h1:CdMUHgN/OfQK9ojj6lCjxlJSuUe0vD0ZAvoCcoBfn20= $crds
istio-1.23.0.yaml istio.io/api@v1.23.0 h1:yqv3lNW6XSYS5XkbEkxsmFROXIQznp4lFWqj7xKEqCA= $crds
istio-1.24.4.yaml istio.io/api@v1.24.4 h1:OZcFJ70QpjFx2DRUjhMsfNzvUpLnKuT+8WeHFxH44gI= $crds
istio-1.25.5.yaml istio.io/api@v1.25.5 h1:6PnzDFjnKxWeVDs4gVV7fDEUj9t+Ulv2330KYw5L7Jw= $crds
istio-1.26.0.yaml istio.io/api@v1.26.0 h1:hYWzFonwfimFkzp3P4iKJ0bCyenIoYvEIOXrLi74tjg= $crds
istio-1.27.1.yaml istio.io/api@v1.27.1 h1:Ti9SqTsD+jHfwYpjLGqkHof+QBZZSUXepmqX+bxFhVo= $crds
istio-1.28.0.yaml istio.io/api@v1.28.0 h1:0fYY9G03CAdFwE/fCkpr0v7kKsy+Hz9OCCjLNBNLbnU= $crds
istio-1.29.5.yaml istio.io/api@v1.29.5 h1:LDukCsRZyL4C3O644yOvN8qv6wVMjvydGDt4X9pxpDM= $crds
istio-1.30.3.yaml istio.io/api@v1.30.3 h1:pPSa0uah/t7CEuwacS4rw5qK/oHGvxC0WO8i4RRGwEU= $crds
istio-1.31.0.yaml istio.io/api@v1.31.0 h1:qGf/hZwCu5LOPK0jGti38NF71E8Eq4jGyhz/l2xsszU= $crds
gateway-api-1.6.0.yaml sigs.k8s.io/gateway-api@v1.6.0 h1:735YBRj5NXFrOGX0GoSjwzUIzbz8kiEOfADsqHFmHgE= config/crd/standard/gateway.networking.k8s.io_gateways.yaml
external-secrets-0.9.20.yaml github.com/external-secrets/external-secrets@v0.9.20 h1:SjCgevHllWRGinuC4mlnyreTSEfBd2sq40+acu8Ow6Q= config/crds/bases/external-secrets.io_externalsecrets.yaml
openshift.yaml github.com/openshift/api@v0.0.0-20260501191448-a49973eaef53 h1:u5WEBNXUhL2ik6vzBREkYnk+cZqLMUXcSFa6STK/8Bs= operator/v1/zz_generated.crd-manifests/0000_70_dns_00_dnses.crd.yaml
"

# The folder's name carries the table, so a changed pin fetches anew; it is moved into place whole, so a
# killed run leaves none.
cache=${TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/meshlatch-tools}
dir=$cache/crds-$(printf %s "$table" | sha256sum | cut -c1-16)
if [ ! -d "$dir" ]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/.new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    chmod 755 "$new"
    # Not in this module: what it asks for must not decide which versions come.
    cd "$new"
    field() { sed -n "s/^\t\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p"; }
    printf %s "$table" | while read -r file module pinned path; do
        [ -n "$file" ] || continue
        # The sums are here, as in a go.sum, and the public database does not know each of these versions.
        told=$(GOWORK=off GOFLAGS='' GONOSUMDB='*' go mod download -json "$module") || {
            printf 'crds.sh: %s\n' "$told" >&2
            exit 1
        }
        sum=$(printf '%s\n' "$told" | field Sum)
        [ "$sum" = "$pinned" ] || {
            echo "crds.sh: $module: sum is $sum, pinned is $pinned" >&2
            exit 1
        }
        cp "$(printf '%s\n' "$told" | field Dir)/$path" "$file"
        chmod 644 "$file"
    done
    # -T: if another run was first, its folder stays (mv fails on it).
    mv -T "$new" "$dir" 2>/dev/null || [ -d "$dir" ]
fi
echo "$dir"
