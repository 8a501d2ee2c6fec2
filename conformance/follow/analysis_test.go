// What `istioctl validate` and `istioctl analyze` say to a bundle.
package follow

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/go-multierror"

	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/local"
	"istio.io/istio/pkg/config/resource"
	"istio.io/istio/pkg/config/schema/collections"

	"meshlatch/conformance/topology"
)

// expected are messages that we know and want, each with its reason.
var expected = []struct {
	message *regexp.Regexp
	reason  string
}{
	{
		regexp.MustCompile(`^(Warning \[IST0133\] .* Schema validation warning: )?address is unset with network "[^"]+"$`),
		"`gatewayAddresses: istio-remote` and `mesh-networks` write a gateway's address once, not in each entry",
	},
}

func known(message string) bool {
	for _, it := range expected {
		if it.message.MatchString(message) {
			return true
		}
	}
	return false
}

// lines are the messages of a warning, one each.
func lines(warning error) []string {
	if warning == nil {
		return nil
	}
	var several *multierror.Error
	if !errors.As(warning, &several) {
		return []string{warning.Error()}
	}
	var list []string
	for _, it := range several.Errors {
		list = append(list, it.Error())
	}
	return list
}

// validate asks Istio's validation and its analyzers about a bundle.
func (w *world) validate(r *report) {
	said := 0
	for _, c := range w.bundle.configs {
		schema, ok := collections.PilotGatewayAPI().FindByGroupVersionAliasesKind(c.GroupVersionKind)
		if !ok {
			continue
		}
		who := fmt.Sprintf("%s, %s %s/%s", w.name, c.GroupVersionKind.Kind, c.Namespace, c.Name)
		warning, err := schema.ValidateConfig(c)
		if err != nil {
			said++
			r.judge(who, err)
		}
		for _, it := range lines(warning) {
			if !known(it) {
				said++
				r.judge(who, errors.New(it))
			}
		}
	}
	messages, err := w.analyze()
	if err != nil {
		r.judge(w.name+", istioctl analyze", err)
		return
	}
	for _, it := range messages {
		if !known(it) {
			said++
			r.judge(w.name+", istioctl analyze", errors.New(it))
		}
	}
	if err := w.onItsNetwork(); err != nil {
		said++
		r.judge(w.name+", network", err)
	}
	if said == 0 {
		r.judge(fmt.Sprintf("%s, validation and analysis of %d objects of Istio", w.name, len(w.bundle.configs)), nil)
	}
}

// onItsNetwork says whether everything that names the cluster's network names the same.
func (w *world) onItsNetwork() error {
	const label = "topology.istio.io/network"
	said := map[string]string{"pods that are injected": w.bundle.network}
	if system := w.bundle.namespaces[systemNamespace]; system != nil {
		said["the label of "+systemNamespace] = system.Labels[label]
	}
	if w.crossing != nil {
		said["the east-west gateway's view"] = w.crossing.env["ISTIO_META_REQUESTED_NETWORK_VIEW"]
		if s := w.serviceOf(w.crossing); s != nil {
			said["the label of its Service"] = s.Labels[label]
		}
	}
	for _, who := range topology.Keys(said) {
		if said[who] != w.spec().Network {
			return fmt.Errorf("%q is that of %s, not %s", said[who], who, w.spec().Network)
		}
	}
	return nil
}

func (w *world) analyze() ([]string, error) {
	analyzer := local.NewIstiodAnalyzer(analyzers.AllCombined(), resource.Namespace(""), resource.Namespace(systemNamespace), nil)
	var files []local.ReaderSource
	for _, path := range topology.Keys(w.bundle.texts) {
		files = append(files, local.ReaderSource{Name: path, Reader: strings.NewReader(w.bundle.texts[path])})
	}
	if err := analyzer.AddReaderKubeSource(files); err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	defer close(stop)
	result, err := analyzer.Analyze(stop)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, it := range result.Messages {
		list = append(list, it.String())
	}
	return list, nil
}
