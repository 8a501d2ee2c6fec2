#!/bin/sh
# Checks generated trees with the real programs:
#
#   eval "$(sh tools.sh env)"; sh trees.sh DIR...
#
# Each DIR has DIR/<cluster>/kustomization.yaml for one or more clusters.
#   build       kubectl kustomize of each folder below DIR/<cluster> that has a
#               kustomization.yaml succeeds, and printed the same objects, with
#               the same content, as the files listed under resources have; so
#               does the program kustomize ($KUSTOMIZE, else one on PATH), if
#               there is one
#   yaml        every *.yaml file under DIR loads in PyYAML
#   scripts     every *.sh file under DIR, and the sh blocks of every *.md file,
#               pass shellcheck -s sh and dash -n
# One line a check; what failed is printed below its line. The last line is
# "N passed, N failed"; exits 1 if any failed, 2 if called wrongly.

here=$(cd "$(dirname "$0")" && pwd) || exit 2
python=${TOOLS_PY:-python3}
kustomize=${KUSTOMIZE:-$(command -v kustomize || :)}
passed=0
failed=0

for program in kubectl shellcheck dash "$python"; do
    if ! command -v "$program" >/dev/null; then
        echo "trees.sh: no $program on PATH (eval \"\$(sh tools.sh env)\" first)" >&2
        exit 2
    fi
done
if [ $# -eq 0 ]; then
    echo "usage: trees.sh DIR..." >&2
    exit 2
fi

tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

# report STATUS NAME: counts and prints one check, whose output is in $tmp/out.
report() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok    $2: $(tail -n 1 "$tmp/out")"
    else
        failed=$((failed + 1))
        echo "FAIL  $2"
        sed 's/^/        /' "$tmp/out"
    fi
}

build() { # FOLDER PROGRAM...
    folder=$1
    shift
    if ! timeout 120 "$@" "$folder" >"$tmp/printed.yaml" 2>"$tmp/err"; then
        echo "$* failed:"
        cat "$tmp/err"
        return 1
    fi
    if [ -s "$tmp/err" ]; then # a warning, such as of a deprecated field
        echo "$* warned:"
        cat "$tmp/err"
        return 1
    fi
    "$python" "$here/trees.py" objects "$folder" "$tmp/printed.yaml"
}

scripts() { # DIR
    rm -rf "$tmp/blocks" && mkdir "$tmp/blocks" || return 1
    "$python" "$here/trees.py" blocks "$1" "$tmp/blocks" || return 1
    find "$1" "$tmp/blocks" -type f -name '*.sh' | sort >"$tmp/list"
    bad=0
    count=0
    while IFS= read -r file; do
        count=$((count + 1))
        shellcheck --norc -s sh -f gcc "$file" </dev/null || bad=1
        dash -n "$file" </dev/null 2>&1 || bad=1
    done <"$tmp/list"
    [ "$bad" -eq 0 ] && echo "$count files"
}

for dir; do
    dir=${dir%/}
    clusters=0
    for cluster in "$dir"/*/; do
        cluster=${cluster%/}
        [ -d "$cluster" ] || continue
        clusters=$((clusters + 1))
        # The cluster's own is looked at even if it is missing.
        { echo "$cluster/kustomization.yaml"; find "$cluster" -mindepth 2 -name kustomization.yaml | sort; } >"$tmp/kustomizations"
        while IFS= read -r file; do
            folder=${file%/kustomization.yaml}
            build "$folder" kubectl kustomize </dev/null >"$tmp/out" 2>&1
            report $? "build $folder"
            [ -n "$kustomize" ] || continue
            build "$folder" "$kustomize" build </dev/null >"$tmp/out" 2>&1
            report $? "kustomize build $folder"
        done <"$tmp/kustomizations"
    done
    if [ "$clusters" -eq 0 ]; then
        echo "no cluster directory" >"$tmp/out"
        report 1 "build $dir"
        continue
    fi
    "$python" "$here/trees.py" load "$dir" >"$tmp/out" 2>&1
    report $? "yaml $dir"
    scripts "$dir" >"$tmp/out" 2>&1
    report $? "scripts $dir"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
