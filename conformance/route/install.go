// Istio, installed as a runbook says: by istioctl, by Helm, or as Sail's operator would.
package route

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// upstream are the settings without which the Envoy of its own project cannot run what istiod gives it;
// conformance/README.md says what they switch off.
var upstream = map[string]string{
	"pilot.env.PILOT_ENABLE_METADATA_EXCHANGE": "false",
	"pilot.env.PILOT_ENABLE_ALPN_FILTER":       "false",
	"telemetry.enabled":                        "false",
}

// line is the folder with the programs of a release, if it is not that of the newest.
func (w *World) line(release string) string {
	for _, it := range []string{"1.30"} {
		folder := "istio-" + it
		if _, err := os.Stat(filepath.Join(w.Programs, folder)); err == nil && strings.HasPrefix(release, it+".") {
			return folder
		}
	}
	return ""
}

// installIstio installs Istio from the files of a cluster's folder.
func (w *World) installIstio(ctx context.Context, name, folder string) error {
	if err := w.gatewayAPI(ctx, name, folder); err != nil {
		return err
	}
	in := func(file string) string { return filepath.Join(folder, "10-istio", file) }
	for file, install := range map[string]func(context.Context, string, string) error{
		"istio-operator.yaml": w.byIstioctl, "istiod.yaml": w.byHelm, "istio.yaml": w.bySail,
	} {
		if _, err := os.Stat(in(file)); err == nil {
			return install(ctx, name, in(file))
		}
	}
	return fmt.Errorf("%s: nothing there to install Istio from", filepath.Join(folder, "10-istio"))
}

func (w *World) byIstioctl(ctx context.Context, name, file string) error {
	arguments := []string{"install", "--skip-confirmation", "-f", file}
	for key, value := range upstream {
		arguments = append(arguments, "--set=values."+key+"="+value)
	}
	slices.Sort(arguments[4:])
	_, err := w.Clusters[name].Istioctl(ctx, arguments...)
	return err
}

// byHelm installs the charts of the release, the gateways last: their pods are injected.
func (w *World) byHelm(ctx context.Context, name, file string) error {
	if err := w.istiod(ctx, name, file); err != nil {
		return err
	}
	values, err := filepath.Glob(filepath.Join(filepath.Dir(file), "istio-*gateway.yaml"))
	if err != nil {
		return err
	}
	for _, it := range values {
		release := strings.TrimSuffix(filepath.Base(it), ".yaml")
		if err := w.helm(ctx, name, release, "gateway", "-f", it); err != nil {
			return err
		}
	}
	return nil
}

// bySail installs the chart to which Sail's operator hands the values of its object. The operator is
// not here.
func (w *World) bySail(ctx context.Context, name, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var object struct {
		Spec struct {
			Values map[string]any `json:"values"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	values, err := yaml.Marshal(object.Spec.Values)
	if err != nil {
		return err
	}
	plain := filepath.Join(w.Logs, name, "sail-values.yaml")
	if err := os.WriteFile(plain, values, 0o600); err != nil {
		return err
	}
	return w.istiod(ctx, name, plain)
}

// istiod installs the charts with the CustomResourceDefinitions and with istiod.
func (w *World) istiod(ctx context.Context, name, values string) error {
	if err := w.helm(ctx, name, "istio-base", "base"); err != nil {
		return err
	}
	arguments := []string{"-f", values}
	for key, value := range upstream {
		set := "--set"
		if strings.HasPrefix(key, "pilot.env.") {
			set = "--set-string"
			key = "env." + strings.TrimPrefix(key, "pilot.env.")
		}
		arguments = append(arguments, set+"="+key+"="+value)
	}
	return w.helm(ctx, name, "istiod", "istio-control/istio-discovery", arguments...)
}

func (w *World) helm(ctx context.Context, name, release, chart string, arguments ...string) error {
	charts := filepath.Join(w.Programs, w.line(w.Topology.Clusters[name].Istio), "charts")
	_, err := w.Clusters[name].Helm(ctx, append([]string{"upgrade", "--install", release, filepath.Join(charts, chart),
		"--namespace", "istio-system", "--wait", "--timeout", "5m"}, arguments...)...)
	return err
}

// gatewayAPI installs the CustomResourceDefinitions of the Gateway API where a bundle has objects of it.
func (w *World) gatewayAPI(ctx context.Context, name, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.yaml"))
	if err != nil {
		return err
	}
	for _, it := range files {
		text, err := os.ReadFile(it)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "apiVersion: gateway.networking.k8s.io/") {
			// kubectl follows a link to a folder only if it is told that it is one.
			_, err := w.Clusters[name].Kubectl(ctx, "", "apply", "--server-side", "-f", filepath.Join(w.Programs, "gateway-api")+"/")
			return err
		}
	}
	return nil
}
