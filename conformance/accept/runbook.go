// The commands of a runbook, and which of them can be run without a node, Istio's own programs and a cloud.
package accept

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// runbook is what RUNBOOK.md says.
type runbook struct {
	text     string
	commands []command
	stays    string // what it says after the last command, on one line
}

// command is one command, with the lines on which it goes on.
type command struct {
	step    string // the beginning of its heading: `5.`, or `Take it away`
	text    string
	leftOut string // why it is not run here
}

const takeAway = "Take it away"

// readRunbook reads the steps that bring a bundle and take it away. Watching and changes of the topology are other matters.
func readRunbook(path string) (*runbook, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &runbook{text: string(text)}
	step, fenced, begun := "", false, ""
	var after []string
	for line := range strings.Lines(r.text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced && line == "```sh"
			after = nil
		case !fenced && strings.HasPrefix(line, "## "):
			step = stepOf(strings.TrimPrefix(line, "## "))
		case !fenced:
			after = append(after, line)
		case step == "" || begun == "" && (line == "" || strings.HasPrefix(line, "#")):
		case strings.HasSuffix(line, "\\") || strings.HasSuffix(line, "|"):
			begun += line + "\n"
		default:
			c := command{step: step, text: begun + line}
			if c.leftOut, err = whyNot(c.text); err != nil {
				return nil, err
			}
			r.commands = append(r.commands, c)
			begun = ""
		}
	}
	r.stays = strings.Join(strings.Fields(strings.Join(after, " ")), " ")
	if step != takeAway || r.stays == "" {
		return nil, fmt.Errorf("%s does not end with what stays after %q", path, takeAway)
	}
	return r, nil
}

func stepOf(heading string) string {
	if heading == takeAway {
		return heading
	}
	for _, it := range []string{"1.", "2.", "3.", "4.", "5."} {
		if strings.HasPrefix(heading, it+" ") {
			return it
		}
	}
	return ""
}

// whyNot says why a command is not run; of a kind that nobody has read it is an error.
func whyNot(text string) (string, error) {
	for word, why := range map[string]string{
		"istioctl": "it needs istioctl", "helm": "it needs the charts", "$ISTIO": "it needs the archive of Istio", "${ISTIO": "it needs the archive of Istio",
		"openssl": "the secret is not made here", "aws": "it needs the cloud",
	} {
		if slices.ContainsFunc(strings.Fields(text), func(it string) bool { return strings.TrimLeft(it, `"$(`) == word }) || strings.Contains(text, word+"/") || strings.Contains(text, word+":") {
			return why, nil
		}
	}
	words := plainWords(text)
	if slices.Equal(words, []string{"kubectl", "apply", "."}) {
		return "conformance/trees.sh says that it is the objects of all files", nil
	}
	if len(words) == 2 && words[0] == "sh" && words[1] == "30-dns/apply.sh" {
		return "", nil
	}
	if len(words) > 1 && words[0] == "kubectl" && !strings.Contains(text, "|") {
		switch words[1] {
		case "apply", "create", "delete", "diff", "label":
			return "", nil
		case "get", "wait", "run":
			return "it asks what runs, and nothing does", nil
		}
	}
	return "", fmt.Errorf("nobody has told conformance/accept what this command is: %s", text)
}

// plainWords are the words of a command without its flags and the value of `--context` and `-n`.
func plainWords(text string) []string {
	var list []string
	words := strings.Fields(text)
	for i, it := range words {
		value := i > 0 && slices.Contains([]string{"--context", "--kube-context", "-n"}, words[i-1])
		if !value && !strings.HasPrefix(it, "-") && it != "\\" {
			list = append(list, it)
		}
	}
	return list
}

// short is a command without what differs between bundles.
func (c command) short() string {
	var parts []string
	for _, it := range strings.Split(c.text, " |\n") {
		words := plainWords(it)
		parts = append(parts, strings.Join(words[:min(2, len(words))], " "))
	}
	return strings.Join(parts, " | ")
}
