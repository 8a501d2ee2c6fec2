// Ingress: requests of the world outside, at the gateways that serve it.
package route

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"meshlatch/conformance/cluster"
	"meshlatch/conformance/topology"
)

// entry is a way in: an ingress at the gateway of one cluster, by one host and one path.
type entry struct {
	key     string
	ingress *topology.Ingress
	cluster string
	callee  *topology.Service
	host    string
	path    string
	request request
}

func (e entry) String() string {
	return fmt.Sprintf("ingress %s of %s, %s%s", e.key, e.cluster, e.host, e.path)
}

// entries are all ways in.
func (w *World) entries() []entry {
	var list []entry
	for _, key := range topology.Keys(w.Topology.Ingress) {
		i := w.Topology.Ingress[key]
		for _, name := range w.Topology.Serving(i) {
			for _, host := range i.Hosts.Or("*") {
				for _, path := range i.Paths.Or("/") {
					e := entry{key, i, name, w.Topology.Services[i.Service], some(host), path, request{}}
					e.request = w.knock(e, e.host, path)
					list = append(list, e)
				}
			}
		}
	}
	return list
}

// some is a host that a pattern matches.
func some(pattern string) string {
	if pattern == "*" {
		return "any.example.org"
	}
	return strings.Replace(pattern, "*", "any", 1)
}

// knock is a request of the world outside at the gateway of an entry, in the name of any host.
func (w *World) knock(e entry, host, path string) request {
	q := request{protocol: "HTTP", authority: host, path: path, timeout: 5 * time.Second}
	number := 80
	if e.ingress.TLS != nil {
		q.protocol, q.serverName, number = "HTTPS", e.host, 443
	}
	if e.ingress.Listen != 0 {
		number = e.ingress.Listen
	}
	q.address = at(w.Outside.ingress(e.cluster).String(), number)
	return q
}

// fromOutside has the world outside itself make calls.
func (w *World) fromOutside(ctx context.Context, q request) ([]result, error) {
	arguments := append([]string{"call", "--count", strconv.Itoa(max(q.count, 1))}, q.arguments()...)
	out, err := exec.CommandContext(ctx, filepath.Join(w.Programs, "workload"), arguments...).Output()
	if err != nil {
		return nil, err
	}
	return q.parse(string(out))
}

// judgeIngress knocks at every gateway that serves the outside.
func (w *World) judgeIngress(ctx context.Context) {
	certificates := map[string]*x509.Certificate{} // by cluster and name of their Secret
	for _, e := range w.entries() {
		if tls := e.ingress.TLS; tls != nil && certificates[e.cluster+"/"+tls.Credential] == nil {
			made, err := w.certify(ctx, e)
			if err != nil {
				w.Case.Judge(fmt.Sprintf("%s: the Secret %s", e, tls.Credential), err)
				return
			}
			certificates[e.cluster+"/"+tls.Credential] = made
		}
	}
	for _, e := range w.entries() {
		w.judgeEntry(ctx, e)
		if e.ingress.TLS == nil {
			continue
		}
		w.Case.Judge(fmt.Sprintf("%s: the certificate of the Secret %s", e, e.ingress.TLS.Credential),
			w.shows(ctx, e, certificates[e.cluster+"/"+e.ingress.TLS.Credential]))
		if e.ingress.TLS.Redirect {
			plain := e.request
			plain.protocol, plain.address = "HTTP", at(w.Outside.ingress(e.cluster).String(), 80)
			w.Case.Judge(fmt.Sprintf("%s: 301 at port 80", e), w.status(ctx, plain, 301))
		}
	}
	asked := map[string]bool{}
	for _, e := range w.entries() {
		if asked[e.key+e.cluster] {
			continue
		}
		asked[e.key+e.cluster] = true
		if !w.anyHost(e) {
			q := w.knock(e, "unknown.invalid", e.path)
			w.Case.Judge(fmt.Sprintf("ingress %s of %s, any other host: 404", e.key, e.cluster), w.status(ctx, q, 404))
		}
		if len(e.ingress.Paths) > 0 && !slices.Contains(e.ingress.Paths, "/") && !w.anyHost(e) {
			q := w.knock(e, e.host, "/no/such/path")
			w.Case.Judge(fmt.Sprintf("ingress %s of %s, any other path: 404", e.key, e.cluster), w.status(ctx, q, 404))
		}
	}
}

// anyHost says whether a port of a gateway takes all hosts, for this ingress or for another one.
func (w *World) anyHost(e entry) bool {
	return slices.ContainsFunc(w.entries(), func(it entry) bool {
		return it.cluster == e.cluster && it.request.address == e.request.address && (len(it.ingress.Hosts) == 0 || slices.Contains(it.ingress.Hosts, "*"))
	})
}

// judgeEntry has a request answered by who is meant to be the first, who must see the gateway.
func (w *World) judgeEntry(ctx context.Context, e entry) {
	answers := w.Topology.Answers(e.callee, e.cluster)
	allowed := answers.First()
	gateway, err := w.entering(ctx, e.cluster)
	if err != nil {
		w.Case.Judge(e.String(), err)
		return
	}
	want := w.Topology.Identity(topology.Caller{Cluster: e.cluster, Namespace: gateway.Object().Namespace, Account: gateway.Object().Spec.ServiceAccountName})
	q := e.request
	q.count = 4
	w.Case.Judge(fmt.Sprintf("%s: %s", e, answers), cluster.Eventually(ctx, time.Minute, func() error {
		results, err := w.fromOutside(ctx, q)
		for _, it := range results {
			switch {
			case !it.OK:
				return fmt.Errorf("no answer: %s %v %s", it.Error, it.Status, it.Body)
			case it.Answer.Service != e.callee.Key:
				return fmt.Errorf("%s answered", it.Answer.Service)
			case !slices.Contains(allowed, it.Answer.Cluster):
				return fmt.Errorf("%s answered, not %s", it.Answer.Cluster, strings.Join(allowed, "+"))
			case it.Answer.Identity != want:
				return fmt.Errorf("%s saw %q, not %s", it.Answer.Pod, it.Answer.Identity, want)
			}
		}
		return err
	}))
}

func (w *World) status(ctx context.Context, q request, want int) error {
	return cluster.Eventually(ctx, time.Minute, func() error {
		results, err := w.fromOutside(ctx, q)
		for _, it := range results {
			if it.OK {
				return fmt.Errorf("%s in %s answered", it.Answer.Service, it.Answer.Cluster)
			}
			if fmt.Sprint(it.Status) != strconv.Itoa(want) {
				return fmt.Errorf("%v %s", it.Status, it.Error)
			}
		}
		return err
	})
}

// selectorOf says which pods serve the outside in a cluster.
func (w *World) selectorOf(name string) map[string]string {
	if it := w.Topology.Clusters[name].Ingress.Selector; it != nil {
		return it
	}
	return map[string]string{"istio": "ingressgateway"}
}

// entering is the gateway of a cluster that serves the outside.
func (w *World) entering(ctx context.Context, name string) (*cluster.Pod, error) {
	return running(ctx, w.Clusters[name], w.Topology.Clusters[name].Ingress.Namespace, w.selectorOf(name))
}

// certify makes the Secret of an entry: the runbook leaves it to who has the certificate.
func (w *World) certify(ctx context.Context, e entry) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	hosts := slices.DeleteFunc(slices.Clone(e.ingress.Hosts.Or("*.example.org")), func(it string) bool { return it == "*" })
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: e.key + " of " + e.cluster}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: e.ingress.TLS.Credential, Namespace: w.Topology.Clusters[e.cluster].Ingress.Namespace},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	}
	if _, err := w.Clusters[e.cluster].Client.CoreV1().Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// shows looks at the certificate that a gateway shows for a host.
func (w *World) shows(ctx context.Context, e entry, want *x509.Certificate) error {
	return cluster.Eventually(ctx, time.Minute, func() error {
		dialer := tls.Dialer{
			NetDialer: &net.Dialer{Timeout: 5 * time.Second},
			Config:    &tls.Config{ServerName: e.host, InsecureSkipVerify: true}, // it is compared below
		}
		conn, err := dialer.DialContext(ctx, "tcp", e.request.address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		shown := conn.(*tls.Conn).ConnectionState().PeerCertificates
		if len(shown) == 0 || !shown[0].Equal(want) {
			return errors.New("another certificate is shown")
		}
		return nil
	})
}
