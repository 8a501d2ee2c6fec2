// Fields: changes that nobody thought of, of one field each.
package defects

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// led are the kinds that lead calls and that a cluster takes anew while its pods run.
var led = []string{
	"AuthorizationPolicy", "DestinationRule", "Gateway", "PeerAuthentication", "Service", "ServiceEntry", "Sidecar",
	"VirtualService", "WorkloadEntry",
}

// otherWords stand where only words of a list may stand.
var otherWords = map[string]string{
	"GRPC": "HTTP", "HTTPS": "HTTP", "TLS": "TCP", "REDIS": "TCP", "HTTP": "TCP", "TCP": "HTTP", "true": "false", "false": "true",
	"MESH_EXTERNAL": "MESH_INTERNAL", "MESH_INTERNAL": "MESH_EXTERNAL", "NONE": "STATIC", "STATIC": "NONE", "DNS": "NONE",
	"ISTIO_MUTUAL": "SIMPLE", "AUTO_PASSTHROUGH": "PASSTHROUGH", "Passthrough": "Terminate", "STRICT": "DISABLE", "ALLOW": "DENY",
	"*": "nowhere",
}

// Fields are all changes of a case that drop one field of one object, or have it say something else. Fields that
// stand at the same place in objects of the same kind are taken once for as many as there are clusters.
func Fields(dir string) ([]*Defect, error) {
	clusters, err := os.ReadDir(filepath.Join(dir, "out"))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "out", "*", "[2-9]*", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var list []*Defect
	seen := map[string]int{}
	for _, path := range files {
		file, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		objects, err := Objects(path)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if !slices.Contains(led, o.Kind) {
				continue
			}
			var whole any
			if err := yaml.Unmarshal([]byte(o.Text), &whole); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			walk(whole, nil, func(at []string, verb string, patch []byte) {
				alike := o.Kind + " " + pattern(at) + " " + verb
				seen[alike]++
				if n := len(clusters); seen[alike]%n != 1%n {
					return
				}
				c := Change{File: file, Kind: o.Kind, Name: o.Metadata.Name, Patch: patch, Delete: patch == nil}
				name := strings.TrimPrefix(file, "out/") + " " + o.Kind + " " + o.Metadata.Name
				list = append(list, &Defect{Slug: strings.TrimSpace(name+" "+strings.Join(at, "/")) + " " + verb, Case: dir, Changes: []Change{c}})
			})
		}
	}
	return list, nil
}

// walk tells of each field of an object: that it is dropped, and that it says something else.
func walk(it any, at []string, found func(at []string, verb string, patch []byte)) {
	patch := func(op string, value any) []byte {
		operation := map[string]any{"op": op, "path": pointer(at)}
		if value != nil {
			operation["value"] = value
		}
		text, err := json.Marshal([]any{operation})
		if err != nil {
			panic(err) // texts and numbers
		}
		return text
	}
	if len(at) == 0 {
		found(at, "dropped", nil)
	} else {
		found(at, "dropped", patch("remove", nil))
	}
	below := func(key string) []string { return append(slices.Clone(at), key) }
	switch it := it.(type) {
	case map[string]any:
		keys := make([]string, 0, len(it))
		for key := range it {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			walk(it[key], below(key), found)
		}
	case []any:
		for i, one := range it {
			walk(one, below(strconv.Itoa(i)), found)
		}
	case bool:
		found(at, "changed", patch("replace", !it))
	case float64:
		found(at, "changed", patch("replace", it+1))
	case string:
		found(at, "changed", patch("replace", otherText(it)))
	}
}

// pointer is a path as patches write it.
func pointer(at []string) string {
	var text strings.Builder
	for _, it := range at {
		text.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(it))
	}
	return text.String()
}

// pattern is a path without the indices of lists.
func pattern(at []string) string {
	parts := slices.Clone(at)
	for i, it := range parts {
		if _, err := strconv.Atoi(it); err == nil {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// otherText is one that may stand where a text stands: its last letter or digit is the next.
func otherText(text string) string {
	if word, known := otherWords[text]; known {
		return word
	}
	// Addresses of the mesh are of 240.0.0.0/16; another of them would do as well.
	if strings.HasPrefix(text, "240.0.") {
		return "127.0.0.1"
	}
	for i := len(text) - 1; i >= 0; i-- {
		switch c := text[i]; {
		case c == '9' || c == 'z' || c == 'Z':
			return text[:i] + string(c-1) + text[i+1:]
		case c >= '0' && c < '9' || c >= 'a' && c < 'z' || c >= 'A' && c < 'Z':
			return text[:i] + string(c+1) + text[i+1:]
		}
	}
	return text + "x"
}
