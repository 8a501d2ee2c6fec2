// The API server that CoreDNS's plugin `kubernetes` asks: it knows the Service `kubernetes`, and nothing else.
package dns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// apiAddress is the address of the Service `kubernetes`.
var apiAddress = netip.MustParseAddr("192.0.2.1")

const (
	serviceAccountFolder = "/run/secrets/kubernetes.io/serviceaccount"
	nothing              = "{}"
)

// resources are what there is, by path; of one kind there is one object at most.
var resources = map[string]struct{ version, kind, object string }{
	"/api/v1/namespaces": {"v1", "Namespace", `{"metadata": {"name": "default", "uid": "1", "resourceVersion": "1"}}`},
	"/api/v1/services": {"v1", "Service", fmt.Sprintf(`{
		"metadata": {"name": "kubernetes", "namespace": "default", "uid": "2", "resourceVersion": "1"},
		"spec": {"clusterIP": %[1]q, "clusterIPs": [%[1]q], "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}}`, apiAddress)},
	"/api/v1/pods": {"v1", "Pod", nothing},
	"/apis/discovery.k8s.io/v1/endpointslices": {"discovery.k8s.io/v1", "EndpointSlice", nothing},
}

// api starts the API server on the node, and returns the files by which pods trust it.
func (n *node) api() (map[string]string, error) {
	if err := script(fmt.Sprintf("ip netns exec %s ip addr replace %s/32 dev lo", n.namespace, apiAddress)); err != nil {
		return nil, err
	}
	certificate, authority, err := certify()
	if err != nil {
		return nil, err
	}
	l, err := listen(n.namespace, netip.AddrPortFrom(apiAddress, 443).String())
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(serveAPI), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go func() { _ = server.ServeTLS(l, "", "") }()
	n.closers = append(n.closers, func() { _ = server.Close() })
	return map[string]string{"ca.crt": authority, "token": "meshlatch", "namespace": "kube-system"}, nil
}

func serveAPI(w http.ResponseWriter, r *http.Request) {
	it, known := resources[r.URL.Path]
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var o object
	if err := json.Unmarshal([]byte(it.object), &o); err != nil {
		panic(err)
	}
	o["apiVersion"], o["kind"] = it.version, it.kind
	objects := []object{}
	if it.object != nothing {
		objects = append(objects, o)
	}
	say := json.NewEncoder(w).Encode
	if r.URL.Query().Get("watch") == "" {
		_ = say(object{"apiVersion": it.version, "kind": it.kind + "List", "metadata": object{"resourceVersion": "1"}, "items": objects})
		return
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, o := range objects {
			_ = say(object{"type": "ADDED", "object": o})
		}
		_ = say(object{"type": "BOOKMARK", "object": object{"apiVersion": it.version, "kind": it.kind, "metadata": object{
			"resourceVersion": "1", "annotations": object{"k8s.io/initial-events-end": "true"}}}})
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// certify makes a certificate for the API server, which is its own authority.
func certify() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"}, IPAddresses: []net.IP{apiAddress.AsSlice()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(text), nil
}
