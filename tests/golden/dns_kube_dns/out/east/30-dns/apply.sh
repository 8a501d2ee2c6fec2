#!/bin/sh
# Leads names under global to the server that knows them: a stub domain of kube-dns.
#
#     apply.sh            puts the entry in or brings it up to date; a second run changes nothing
#     apply.sh --dry-run  shows what a run would change
#     apply.sh --replace  also where the suffix leads elsewhere, if a single entry can say so
#     apply.sh --remove   takes the entry out again
#
# Everything else in the object stays as it is. The object is written back only if nobody changed
# it since it was read, so no edit is lost. Needs kubectl and jq.
set -eu

context=east
resource=configmap
name=kube-dns
suffix=global
address=10.0.0.53

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'apply.sh: %s\n' "$*" >&2
    exit 1
}

[ "$#" -le 1 ] || fail "too many arguments; see the comment at the top"
case ${1-} in
    '') action=apply state="in place" dry_run=no ;;
    --dry-run) action=apply state="in place" dry_run=yes ;;
    --replace) action=replace state="in place" dry_run=no ;;
    --remove) action=remove state="not there" dry_run=no ;;
    -h | --help)
        sed -n '1d; s/^# \{0,1\}//p; /^set/q' "$0"
        exit 0
        ;;
    *) fail "unknown argument $1; see the comment at the top" ;;
esac

for tool in kubectl jq cmp diff mktemp; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

in_cluster() {
    kubectl --context "$context" -n kube-system "$@"
}

# The object as it should be, or a text: why it must not be touched.
merge() {
    jq -rS --arg action "$action" --arg suffix "$suffix" --arg address "$address" \
        '# One entry of the JSON is ours; all others stay as they are.
# A longer domain wins over the suffix: it would take the names below it away.
def below: rtrimstr(".") | ascii_downcase | . == $suffix or endswith("." + $suffix);
((.data.stubDomains // "") | if . == "" then {} else try fromjson catch null end) as $domains
| if ($domains | type) != "object" then "`stubDomains` is not a JSON object: mend it by hand"
  else
    [$domains | keys[] | select(below)] as $names
    | if $names == [] then
        if $action == "remove" then . else .data.stubDomains = ($domains + {($suffix): [$address]} | tojson) end
      elif $names == [$suffix] and $action == "replace" then
        .data.stubDomains = ($domains + {($suffix): [$address]} | tojson)
      elif $names != [$suffix] or $domains[$suffix] != [$address] then
        "the stub domain `\($names[0])` leads to \($domains[$names[0]] | tojson), not to \($address): "
        + "if it is an old entry of yours, say --replace"
      elif $action == "remove" then
        ($domains | del(.[$suffix])) as $rest
        | if $rest == {} then del(.data.stubDomains) else .data.stubDomains = ($rest | tojson) end
      else .
      end
  end' "$1"
}

# What can change of an object, for people.
show() {
    jq -r 'if .kind == "ConfigMap" then .data // {} | to_entries[] | .key + ":", (.value | fromjson? // .)
        else .spec.servers // [] end' "$1"
}

verb=replace
in_cluster get "$resource" "$name" --ignore-not-found -o json >"$work/old.json"
if [ ! -s "$work/old.json" ]; then
    verb=create
    jq -n --arg name "$name" --arg namespace kube-system \
        '{apiVersion: "v1", kind: "ConfigMap", metadata: {name: $name, namespace: $namespace}}' >"$work/old.json"
fi

merge "$work/old.json" >"$work/new.json"
read -r first <"$work/new.json" || fail "jq gave no answer; nothing was changed"
[ "$first" = "{" ] || fail "$first; nothing was changed"

jq -S . "$work/old.json" >"$work/old"
if cmp -s "$work/old" "$work/new.json"; then
    say "nothing to change: the entry for $suffix is $state"
    exit 0
fi

show "$work/old.json" >"$work/before"
show "$work/new.json" >"$work/after"
diff -u "$work/before" "$work/after" | sed 1,2d
if [ "$dry_run" = yes ]; then
    say "this was a dry run: nothing was changed"
    exit 0
fi
in_cluster "$verb" -f "$work/new.json" ||
    fail "nothing was changed; if somebody else changed $name meanwhile, run this again"
