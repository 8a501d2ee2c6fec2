// A client of one target, and the connections it keeps.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// result is what came of one call.
type result struct {
	OK           bool     `json:"ok"`
	Answer       *answer  `json:"answer,omitempty"`
	Error        string   `json:"error,omitempty"`
	Status       any      `json:"status,omitempty"` // a number of HTTP, the name of a code of gRPC, none of TCP
	Body         string   `json:"body,omitempty"`   // how the response begins, if it is no answer
	Milliseconds int64    `json:"ms"`
	Resolved     []string `json:"resolved,omitempty"` // the addresses of the host, when it was last dialed
}

const shownBody = 200

type client struct {
	target
	http   *http.Client
	rpc    *grpc.ClientConn
	rpcErr error

	mu       sync.Mutex
	closed   bool
	resolved []string
	dialed   []net.Conn
	idle     []net.Conn // those of TCP and TLS that wait for a next call
}

func newClient(t target) *client {
	c := &client{target: t}
	transport := &http.Transport{
		DialContext:         c.dial,
		MaxIdleConnsPerHost: maxInFlight,
		TLSClientConfig:     c.tls(),
		Protocols:           new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(t.protocol != "HTTP2")
	transport.Protocols.SetUnencryptedHTTP2(t.protocol == "HTTP2")
	c.http = &http.Client{
		Transport: transport,
		// A redirect is an answer that the test wants to see.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.rpc, c.rpcErr = grpc.NewClient("passthrough:///"+t.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(t.authority), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return c.dial(ctx, "tcp", address) }),
		// By default it waits up to two minutes before it dials again, longer than a test looks.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second},
			MinConnectTimeout: t.timeout,
		}))
	return c
}

func (c *client) close() {
	if c.rpcErr == nil {
		c.rpc.Close()
	}
	c.http.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, it := range c.dialed {
		it.Close()
	}
}

func (c *client) tls() *tls.Config {
	return &tls.Config{ServerName: c.serverName, NextProtos: c.alpn, InsecureSkipVerify: true}
}

// dial is an ordinary program's, and remembers what the name resolved to.
func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	// Transports dial on when the call that asked for it has given up.
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var resolved []string
	host, _, _ := net.SplitHostPort(address)
	if _, err := netip.ParseAddr(host); err == nil {
		resolved = []string{host}
	}
	conn, err := new(net.Dialer).DialContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSDone: func(it httptrace.DNSDoneInfo) {
			for _, address := range it.Addrs {
				resolved = append(resolved, address.String())
			}
		},
	}), network, address)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resolved = resolved
	if err != nil {
		return nil, err
	}
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	c.dialed = append(c.dialed, conn)
	return conn, nil
}

// ask makes a call. It always comes back within the timeout, and says all that went wrong in the result.
func (c *client) ask() result {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	began := time.Now()
	var got result
	var body string
	var err error
	switch c.protocol {
	case "HTTP", "GRPC-WEB", "HTTP2", "HTTPS":
		got.Status, body, err = c.askHTTP(ctx)
	case "GRPC":
		got.Status, body, err = c.askRPC(ctx)
	default:
		body, err = c.askTCP(ctx)
	}
	if err == nil {
		got.Answer = new(answer)
		if err = json.Unmarshal([]byte(body), got.Answer); err != nil {
			err = fmt.Errorf("the answer is no JSON of ours: %w", err)
		}
	}
	if err != nil {
		got.Answer, got.Error = nil, err.Error()
		got.Body = strings.ToValidUTF8(body[:min(len(body), shownBody)], "")
	}
	got.OK, got.Milliseconds = err == nil, time.Since(began).Milliseconds()
	c.mu.Lock()
	defer c.mu.Unlock()
	got.Resolved = c.resolved
	return got
}

func (c *client) askHTTP(ctx context.Context) (any, string, error) {
	scheme := "http"
	if c.protocol == "HTTPS" {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+c.address+c.path, nil)
	if err != nil {
		return nil, "", err
	}
	request.Host = c.authority
	response, err := c.http.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return response.StatusCode, string(body), err
}

func (c *client) askRPC(ctx context.Context) (any, string, error) {
	if c.rpcErr != nil {
		return nil, "", c.rpcErr
	}
	said := new(wrapperspb.StringValue)
	err := c.rpc.Invoke(ctx, askMethod, wrapperspb.String("{}"), said)
	return status.Code(err).String(), said.GetValue(), err
}

func (c *client) askTCP(ctx context.Context) (string, error) {
	conn, err := c.take(ctx)
	if err != nil {
		return "", err
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	line := ""
	if _, err = io.WriteString(conn, "{}\n"); err == nil {
		// Nothing follows the line until the next question, so that the reader can be thrown away.
		line, err = bufio.NewReader(conn).ReadString('\n')
	}
	if err != nil {
		conn.Close()
		return line, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, conn)
	return line, nil
}

// take gives a kept connection or a new one.
func (c *client) take(ctx context.Context) (net.Conn, error) {
	c.mu.Lock()
	if last := len(c.idle) - 1; last >= 0 {
		defer c.mu.Unlock()
		conn := c.idle[last]
		c.idle = c.idle[:last]
		return conn, nil
	}
	c.mu.Unlock()
	conn, err := c.dial(ctx, "tcp", c.address)
	if err != nil || c.protocol != "TLS" {
		return conn, err
	}
	return tls.Client(conn, c.tls()), nil
}

// askOnce makes a call over a connection of its own.
func askOnce(t target) result {
	c := newClient(t)
	defer c.close()
	return c.ask()
}
