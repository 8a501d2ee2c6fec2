// Whom a client calls, and how, as flags say it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

type target struct {
	protocol   string
	address    string // host:port
	authority  string
	path       string
	serverName string
	alpn       []string
	timeout    time.Duration
}

// targetFlags declares the flags; the function it gives reads them once they are parsed.
func targetFlags(set *flag.FlagSet, timeout time.Duration) func() (target, error) {
	protocol := set.String("protocol", "HTTP", "HTTP, HTTP2, GRPC, HTTPS, TLS, or any other for TCP")
	address := set.String("address", "", "`host:port` or a URL")
	env := set.String("env", "", "the environment `variable` that holds the address, or two, HOST:PORT")
	authority := set.String("authority", "", "the authority, if it is not the address as written")
	path := set.String("path", "", "the path, if it is not that of the URL")
	serverName := set.String("tls-name", "", "the server name of TLS, if it is not the host")
	alpn := set.String("alpn", "", "a protocol for TLS to offer")
	set.DurationVar(&timeout, "timeout", timeout, "the longest that a call may take, with its look-up")
	return func() (target, error) {
		written := *address
		if *env != "" {
			var parts []string
			for name := range strings.SplitSeq(*env, ":") {
				parts = append(parts, os.Getenv(name))
			}
			written = strings.Join(parts, ":")
		}
		if strings.Trim(written, ":") == "" {
			return target{}, errors.New("no address: say --address, or name with --env a variable that is set")
		}
		t, err := parseTarget(strings.ToUpper(*protocol), written)
		t.timeout = timeout
		override(&t.authority, *authority)
		override(&t.path, *path)
		override(&t.serverName, *serverName)
		if *alpn != "" {
			t.alpn = []string{*alpn}
		}
		return t, err
	}
}

func override(value *string, by string) {
	if by != "" {
		*value = by
	}
}

func parseTarget(protocol, written string) (target, error) {
	if ip, err := netip.ParseAddr(written); err == nil && ip.Is6() {
		written = "[" + written + "]"
	}
	if !strings.Contains(written, "://") {
		scheme := "http"
		if protocol == "HTTPS" || protocol == "TLS" {
			scheme = "https"
		}
		written = scheme + "://" + written
	}
	u, err := url.Parse(written)
	if err != nil {
		return target{}, err
	}
	if u.Hostname() == "" {
		return target{}, fmt.Errorf("`%s` names no host", written)
	}
	number := u.Port()
	if number == "" {
		number = "80"
		if u.Scheme == "https" {
			number = "443"
		}
	}
	return target{
		protocol: protocol, address: net.JoinHostPort(u.Hostname(), number),
		authority: u.Host, path: u.RequestURI(), serverName: u.Hostname(),
	}, nil
}
