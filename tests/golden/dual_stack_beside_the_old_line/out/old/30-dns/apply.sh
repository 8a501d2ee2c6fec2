#!/bin/sh
# Leads names under mesh.internal to the server that knows them: a server block of CoreDNS.
#
#     apply.sh            puts the entry in or brings it up to date; a second run changes nothing
#     apply.sh --dry-run  shows what a run would change
#     apply.sh --replace  also where the suffix leads elsewhere, if a single entry can say so
#     apply.sh --remove   takes the entry out again
#
# Everything else in the object stays as it is. The object is written back only if nobody changed
# it since it was read, so no edit is lost. Needs kubectl and jq.
set -eu

context=old
resource=configmap
name=coredns
suffix=mesh.internal
address=10.96.0.53

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
        --arg block 'mesh.internal:53 {
    errors
    cache 30
    forward . 10.96.0.53
}
' \
        --arg bind '' \
        '# The words of a Corefile, each with the lines of its first and last character.
def words:
  def close: if .word then .words += [.word] | .word = null else . end;
  reduce split("")[] as $c (
    {line: 1, quoted: false, escaped: false, comment: false, word: null, words: []};
    (if $c == "\n" then .line + 1 else .line end) as $next
    | if .quoted then
        if $c == "\\" and (.escaped | not) then .escaped = true
        elif $c == "\"" and (.escaped | not) then .quoted = false | close
        else
          .word.text += (if .escaped and $c != "\"" then "\\" + $c else $c end)
          | .word.last = $next
          | .escaped = false
        end
      elif $c == "\r" then .
      elif $c == "\n" then .comment = false | close
      elif $c == " " or $c == "\t" then close
      elif .comment or $c == "#" then .comment = true
      elif .word then .word.text += $c
      else
        .word = {text: (if $c == "\"" then "" else $c end), first: .line, last: .line}
        | .quoted = ($c == "\"")
      end
    | .line = $next)
  | close
  | .words;

# The zone of a key, if it is served as plain DNS on port 53.
def zone:
  ltrimstr("dns://")
  | select(contains("://") | not)
  | rindex(":") as $colon
  | if $colon then select((.[$colon + 1:] | try tonumber catch 0) == 53) | .[:$colon] else . end
  | rtrimstr(".")
  | ascii_downcase;

# The server blocks of a Corefile: what they serve on port 53, and on which addresses.
def blocks:
  words as $words
  | reduce range($words | length) as $i (
      {depth: 0, keys: [], comma: false, bind: [], binding: false, file: false, snippets: {}, blocks: [], wrong: null};
      $words[$i].text as $word
      | ($i == 0 or $words[$i - 1].last < $words[$i].first) as $new
      | ($new or $words[$i - 1].text == "{") as $directive
      | if .wrong then .
        elif .file then .file = false
        elif .depth == 0 then
          if $word == "{" then
            if .keys == [] or .comma then .wrong = "a server block has no zone" else .depth = 1 end
          elif $word == "}" then .wrong = "there is a closing brace too many"
          elif $word == "import" and .keys == [] then .file = true
          elif $new and .keys != [] and (.comma | not) then .wrong = "a server block has no braces"
          elif $word == "" then .
          else .comma = ($word | endswith(",")) | .keys += [$word | rtrimstr(",")]
          end
        else
          .binding = (.binding and ($new or $word == "{" or $word == "}" | not))
          | if .binding then .bind += [$word]
            elif $word == "{" then .depth += 1
            elif $word == "}" and .depth > 1 then .depth -= 1
            elif $word == "}" then
              if (.keys | length) == 1 and (.keys[0] | startswith("(") and endswith(")")) then
                .snippets[.keys[0][1:-1]] = .bind
              else
                .blocks += [{zones: [.keys[] | zone], bind: .bind}]
              end
              | .depth = 0 | .keys = [] | .comma = false | .bind = []
            elif .depth == 1 and $directive and $word == "bind" then .binding = true
            elif .depth == 1 and $directive and $word == "import" then
              .bind += (.snippets[$words[$i + 1].text // ""] // [])
            else .
            end
        end)
  | if .wrong then .
    elif .depth > 0 then .wrong = "a brace is not closed"
    elif .keys != [] then .wrong = "a server block has no braces"
    else .
    end;

# Our block stands between two comments; all other lines stay as they are.
"# meshlatch: \($suffix)" as $open
| "# meshlatch: end of \($suffix)" as $close
| (.data.Corefile // "") as $text
| ($text | split("\n")) as $lines
| [range($lines | length) | select($lines[.] == $open)] as $opens
| [range($lines | length) | select($lines[.] == $close)] as $closes
| ($opens[0] // ($lines | length)) as $from
| ($closes[0] // ($lines | length)) as $to
| if ($opens | length) > 1 or ($opens | length) != ($closes | length) or $from > $to then
    "the comments `\($open)` and `\($close)` do not stand around one block: mend the Corefile by hand"
  else
    ($lines[:$from] + $lines[$to + 1:] | join("\n")) as $rest
    | ($rest | blocks) as $read
    | [$read.blocks[] | select(any(.zones[]; . == ""))] as $roots
    # A longer zone wins over the suffix: it would take the names below it away.
    | [$read.blocks[]?.zones[] | select(. == $suffix or endswith("." + $suffix))] as $taken
    | if $read.wrong then "this Corefile cannot be read: \($read.wrong)"
      elif $roots == [] then "this Corefile serves nothing for `.` on port 53: it is not whole, or CoreDNS listens elsewhere"
      elif $action == "remove" then
        if $opens == [] then . else .data.Corefile = $rest end
      elif $taken != [] then
        "somebody else\u0027s block of the Corefile serves `\($taken[0])` already"
      else
        ($roots[0].bind | if . == [] then $bind else join(" ") end) as $bind
        | ($block | rtrimstr("\n") | split("\n")) as $ours
        | ([$open, $ours[0]] + [$bind | select(. != "") | "    bind " + .] + $ours[1:] + [$close]) as $ours
        | if $opens == [] then
            .data.Corefile = ($text | if endswith("\n") then . else . + "\n" end) + ($ours | join("\n")) + "\n"
          else
            .data.Corefile = ($lines[:$from] + $ours + $lines[$to + 1:] | join("\n"))
          end
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
    fail "there is no $resource $name: does something else serve this cluster's DNS?"
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
if grep -q reload "$work/after"; then
    say "CoreDNS reads it within two minutes"
else
    say "CoreDNS does not reload here; restart it: kubectl --context $context -n kube-system rollout restart deployment/coredns"
fi
