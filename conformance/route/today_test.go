package route

import "testing"

func TestOnlyTheOldLineIsReplaced(t *testing.T) {
	for text, want := range map[string]string{
		`{istio: "1.5.2", install: helm}`:                   `{istio: "1.31.0", install: helm}`,
		`{istio: "1.8.5", kubernetes: "1.19"}`:              `{istio: "1.31.0"}`,
		"    istio: \"1.4.10\"\n    kubernetes: \"1.15\"\n": "    istio: \"1.31.0\"\n\n",
		`{istio: "1.22.8", kubernetes: "1.30"}`:             `{istio: "1.22.8", kubernetes: "1.30"}`,
	} {
		is := itsKubernetes.ReplaceAllString(oldRelease.ReplaceAllString(text, today), "")
		if is != want {
			t.Errorf("%s is %s, not %s", text, is, want)
		}
	}
}
