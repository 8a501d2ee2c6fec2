// The server: every port of a pod, in its protocol.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type config struct {
	Cluster string `json:"cluster"`
	Service string `json:"service"`
	Pod     string `json:"pod"`
	Listen  []port `json:"listen"`
}

type port struct {
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

const (
	failPath = "/meshlatch/fail"
	// A call that takes longer than this is cut off when the server ends.
	longestGoodbye = 5 * time.Second
)

func serveCommand(ctx context.Context) error {
	var c config
	if err := json.Unmarshal([]byte(os.Getenv("MESHLATCH_WORKLOAD")), &c); err != nil {
		return fmt.Errorf("MESHLATCH_WORKLOAD: %w", err)
	}
	drain := 5 * time.Second
	if text := os.Getenv("MESHLATCH_DRAIN"); text != "" {
		var err error
		if drain, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("MESHLATCH_DRAIN: %w", err)
		}
	}
	s, err := start(c)
	if err != nil {
		return err
	}
	s.run(ctx, drain)
	return nil
}

// server is a pod's program while it runs.
type server struct {
	config
	failing atomic.Bool

	webs      []*http.Server
	stopping  context.Context // of what listens and talks without net/http
	stopTalks context.CancelFunc
	talks     sync.WaitGroup
}

// start binds all ports before it serves any: a pod that lacks one must not look healthy.
func start(c config) (*server, error) {
	s := &server{config: c}
	s.stopping, s.stopTalks = context.WithCancel(context.Background())
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listeners := make([]net.Listener, len(s.Listen))
	for i := range s.Listen {
		l, err := listen(s.Listen[i].Port)
		if err != nil {
			return nil, err
		}
		s.Listen[i].Port = l.Addr().(*net.TCPAddr).Port
		s.Listen[i].Protocol = strings.ToUpper(s.Listen[i].Protocol)
		listeners[i] = l
	}
	for i, p := range s.Listen {
		l := listeners[i]
		if p.Protocol == "HTTPS" || p.Protocol == "TLS" {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		switch p.Protocol {
		case "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS":
			web := &http.Server{Handler: s.handler(p), Protocols: new(http.Protocols)}
			web.Protocols.SetHTTP1(true)
			web.Protocols.SetUnencryptedHTTP2(p.Protocol != "HTTPS")
			s.webs = append(s.webs, web)
			go func() {
				if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					fmt.Fprintf(os.Stderr, "port %d: %v\n", p.Port, err)
				}
			}()
		default:
			s.talks.Go(func() { s.accept(l, p) })
		}
	}
	return s, nil
}

// listen takes both families, or IPv4 where the kernel has no other.
func listen(number int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", number))
	if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
		return net.Listen("tcp4", fmt.Sprintf(":%d", number))
	}
	return l, err
}

// run serves until the context ends, then as long as the drain takes: endpoints leave other clusters later
// than the signal comes, and an ordinary program goes on meanwhile, ready as before.
func (s *server) run(ctx context.Context, drain time.Duration) {
	<-ctx.Done()
	time.Sleep(drain)
	s.stop()
}

// stop lets calls in flight end; net/http says GOAWAY or Connection: close to the rest.
func (s *server) stop() {
	s.stopTalks()
	ctx, cancel := context.WithTimeout(context.Background(), longestGoodbye)
	defer cancel()
	var all sync.WaitGroup
	for _, it := range s.webs {
		all.Go(func() {
			if it.Shutdown(ctx) != nil {
				it.Close()
			}
		})
	}
	all.Go(s.talks.Wait)
	all.Wait()
}

func (s *server) describe(p port, protocol string) answer {
	return answer{Cluster: s.Cluster, Service: s.Service, Pod: s.Pod, Port: p.Port, Protocol: protocol}
}

func (s *server) handler(p port) http.Handler {
	rpc := s.rpc(p)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isRPC(r) {
			if s.failing.Load() {
				refuseRPC(w)
			} else {
				rpc.ServeHTTP(w, r)
			}
			return
		}
		status := http.StatusOK
		if r.URL.Path == failPath {
			on, err := strconv.ParseBool(r.URL.Query().Get("on"))
			if err != nil {
				http.Error(w, "on=true or on=false", http.StatusBadRequest)
				return
			}
			s.failing.Store(on)
		} else if s.failing.Load() {
			status = http.StatusServiceUnavailable
		}
		protocol := r.Proto
		if r.ProtoMajor == 2 {
			protocol = "HTTP/2"
		} else if r.TLS != nil {
			protocol = "HTTPS"
		}
		it := s.describe(p, protocol)
		it.Identity, it.Host = identity(r.Header.Values(clientCertificateHeader)), r.Host
		it.Path, it.From = r.URL.RequestURI(), r.RemoteAddr
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(it)
	})
}

func (s *server) accept(l net.Listener, p port) {
	context.AfterFunc(s.stopping, func() { l.Close() })
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "port %d: %v\n", p.Port, err)
			time.Sleep(50 * time.Millisecond) // out of descriptors, say: it may pass
			continue
		}
		s.talks.Go(func() { s.talk(conn, p) })
	}
}

// talk answers each line with a line. The client speaks first, so that proxies may look at its bytes.
func (s *server) talk(conn net.Conn, p port) {
	defer conn.Close()
	if s.failing.Load() {
		return
	}
	defer context.AfterFunc(s.stopping, func() { conn.SetReadDeadline(time.Now()) })()
	for lines := bufio.NewScanner(conn); lines.Scan() && !s.failing.Load(); {
		it := s.describe(p, "TCP")
		if secure, ok := conn.(*tls.Conn); ok {
			it.Protocol, it.Host = "TLS", secure.ConnectionState().ServerName
		}
		it.From = conn.RemoteAddr().String()
		if json.NewEncoder(conn).Encode(it) != nil {
			return
		}
	}
}

// selfSigned makes a certificate that no client should trust and that serves every name.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
