// What a server says of itself and of the call it got.
package main

import "strings"

// answer is the JSON that every protocol carries.
type answer struct {
	Cluster  string `json:"cluster"`
	Service  string `json:"service"`
	Pod      string `json:"pod"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // HTTP/1.1, HTTP/2, GRPC, HTTPS, TLS or TCP: what reached the server
	Identity string `json:"identity"` // the caller's, as the sidecar vouches for it; empty without one
	Host     string `json:"host"`     // the authority, or the server name of TLS
	Path     string `json:"path"`
	From     string `json:"from"`
}

const clientCertificateHeader = "x-forwarded-client-cert"

// identity is the URI in the last element of x-forwarded-client-cert: each proxy on the way appends
// its own element, so that the last one is of the proxy next to the server.
func identity(headers []string) string {
	elements := split(strings.Join(headers, ","), ',')
	for _, pair := range split(elements[len(elements)-1], ';') {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(key, "URI") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// split cuts at separators outside of quotes; there is always one part at least.
func split(text string, separator byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}
