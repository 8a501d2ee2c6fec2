// gRPC of the server: the question who it is, and the standard health service.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const askMethod = "/meshlatch.Who/Ask"

func (s *server) rpc(p port) *grpc.Server {
	ask := func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := read(new(wrapperspb.StringValue)); err != nil {
			return nil, err
		}
		headers, _ := metadata.FromIncomingContext(ctx)
		it := s.describe(p, "GRPC")
		it.Identity = identity(headers.Get(clientCertificateHeader))
		it.Host, it.Path = strings.Join(headers.Get(":authority"), ","), askMethod
		if caller, ok := peer.FromContext(ctx); ok {
			it.From = caller.Addr.String()
		}
		text, err := json.Marshal(it)
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		return wrapperspb.String(string(text)), nil
	}
	// Written by hand: one method does not pay for a compiler of protocol buffers.
	rpc := grpc.NewServer()
	rpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "meshlatch.Who",
		Methods:     []grpc.MethodDesc{{MethodName: "Ask", Handler: ask}},
	}, nil)
	healthpb.RegisterHealthServer(rpc, health.NewServer())
	return rpc
}

// isRPC tells gRPC from application/grpc-web, which is HTTP to this server.
func isRPC(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.ProtoMajor == 2 && (kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+"))
}

// refuseRPC answers with headers alone, as a gRPC server does when it fails early. Envoy's outlier detection
// reads the code there; ServeHTTP would put it into trailers, which it does not count.
func refuseRPC(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", "14") // codes.Unavailable
	w.Header().Set("Grpc-Message", "told to fail")
}
