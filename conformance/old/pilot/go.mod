module meshlatch/conformance/old/pilot

go 1.13

require (
	github.com/envoyproxy/go-control-plane v0.9.0
	github.com/gogo/protobuf v1.3.0
	github.com/golang/protobuf v1.3.2
	google.golang.org/grpc v1.23.0
)
