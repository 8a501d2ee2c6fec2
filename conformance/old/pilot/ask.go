// Package pilot asks a pilot of the old line for the configuration of proxies, as proxies do.
//
// The releases differ in what makes a pilot; each module in conformance/programs has that. What goes
// in and out is the same: objects, nodes, and Envoy's configuration as JSON.
package pilot

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	api "github.com/envoyproxy/go-control-plane/envoy/api/v2"
	core "github.com/envoyproxy/go-control-plane/envoy/api/v2/core"
	gogo "github.com/gogo/protobuf/proto"
	"github.com/golang/protobuf/jsonpb"
	"github.com/golang/protobuf/proto"
	"github.com/golang/protobuf/ptypes/any"
	"github.com/golang/protobuf/ptypes/empty"
	structpb "github.com/golang/protobuf/ptypes/struct"
	"google.golang.org/grpc"
)

// Question is read from standard input.
type Question struct {
	// Mesh is the mesh configuration, as its ConfigMap has it.
	Mesh string
	// Domain is that of the cluster.
	Domain string
	// Kubernetes and Istio are objects in JSON.
	Kubernetes []string
	Istio      []string
	Nodes      []Node
}

// Node is a proxy: what it says of itself.
type Node struct {
	ID       string
	Metadata json.RawMessage
	Locality []string
}

// Answer is written to the file that is the fourth that is open, after the standard ones: pilots log to those.
type Answer struct {
	// Refused says of each object that did not become part of the mesh why.
	Refused []string
	// Nodes are by ID.
	Nodes map[string]*Configuration
}

// Configuration is what a proxy is given.
type Configuration struct {
	Clusters, Endpoints, Listeners, Routes []json.RawMessage
}

// Version is one of the interface between pilot and proxies.
type Version struct {
	method, prefix string
	types          [4]string
}

var (
	// V2 is that of Istio 1.4 to 1.6.
	V2 = Version{"/envoy.service.discovery.v2.AggregatedDiscoveryService/StreamAggregatedResources", "type.googleapis.com/envoy.",
		[4]string{"api.v2.Cluster", "api.v2.ClusterLoadAssignment", "api.v2.Listener", "api.v2.RouteConfiguration"}}
	// V3 is that of Istio 1.7 and 1.8.
	V3 = Version{"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", "type.googleapis.com/envoy.",
		[4]string{"config.cluster.v3.Cluster", "config.endpoint.v3.ClusterLoadAssignment", "config.listener.v3.Listener", "config.route.v3.RouteConfiguration"}}
)

// Each hands every object to a pilot, and refuses those that it does not take.
func Each(objects []string, refuse func(object string, err error), take func(object string) error) {
	for _, it := range objects {
		if err := take(it); err != nil {
			refuse(it, err)
		}
	}
}

// Main reads the question, has a pilot made for it, and writes its answers.
func Main(version Version, start func(q *Question, refuse func(object string, err error), server *grpc.Server) error) {
	if err := run(version, start, os.NewFile(3, "answer")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(version Version, start func(*Question, func(string, error), *grpc.Server) error, out *os.File) error {
	q, answer := Question{}, Answer{Refused: []string{}, Nodes: map[string]*Configuration{}}
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		return err
	}
	server := grpc.NewServer()
	refuse := func(object string, err error) {
		answer.Refused = append(answer.Refused, fmt.Sprintf("%s: %v", object, err))
	}
	if err := start(&q, refuse, server); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(listener) }()
	for _, node := range q.Nodes {
		it, err := ask(version, listener.Addr().String(), node)
		if err != nil {
			return fmt.Errorf("%s: %v", node.ID, err)
		}
		answer.Nodes[node.ID] = it
	}
	return json.NewEncoder(out).Encode(answer)
}

func ask(version Version, address string, node Node) (*Configuration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	connection, err := grpc.DialContext(ctx, address, grpc.WithInsecure(), grpc.WithBlock(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, version.method)
	if err != nil {
		return nil, err
	}
	metadata := &structpb.Struct{}
	if err := jsonpb.UnmarshalString(string(node.Metadata), metadata); err != nil {
		return nil, err
	}
	locality := append(append([]string{}, node.Locality...), "", "", "")
	me := &core.Node{Id: node.ID, Cluster: "x", Metadata: metadata,
		Locality: &core.Locality{Region: locality[0], Zone: locality[1], SubZone: locality[2]}}

	get := func(kind int, names []string) ([]*any.Any, []json.RawMessage, error) {
		url := version.prefix + version.types[kind]
		if names != nil && len(names) == 0 {
			return nil, nil, nil
		}
		sort.Strings(names)
		if err := stream.SendMsg(&api.DiscoveryRequest{Node: me, TypeUrl: url, ResourceNames: names}); err != nil {
			return nil, nil, err
		}
		for {
			response := &api.DiscoveryResponse{}
			if err := stream.RecvMsg(response); err != nil {
				return nil, nil, err
			}
			if response.TypeUrl != url {
				continue
			}
			var all []json.RawMessage
			for _, resource := range response.Resources {
				text, err := toJSON(resource)
				if err != nil {
					return nil, nil, fmt.Errorf("%s: %v", url, err)
				}
				all = append(all, text)
			}
			return response.Resources, all, nil
		}
	}

	it := &Configuration{}
	if _, it.Clusters, err = get(0, nil); err != nil {
		return nil, err
	}
	names := []string{}
	for _, text := range it.Clusters {
		var c struct{ Name, Type string }
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, err
		}
		if c.Type == "EDS" {
			names = append(names, c.Name)
		}
	}
	if _, it.Endpoints, err = get(1, names); err != nil {
		return nil, err
	}
	if _, it.Listeners, err = get(2, nil); err != nil {
		return nil, err
	}
	routes := map[string]bool{}
	for _, text := range it.Listeners {
		var tree interface{}
		if err := json.Unmarshal(text, &tree); err != nil {
			return nil, err
		}
		routesOf(tree, routes)
	}
	names = []string{}
	for name := range routes {
		names = append(names, name)
	}
	_, it.Routes, err = get(3, names)
	return it, err
}

// routesOf finds the routes that a listener asks for.
func routesOf(tree interface{}, found map[string]bool) {
	switch it := tree.(type) {
	case map[string]interface{}:
		if name, is := it["route_config_name"].(string); is {
			found[name] = true
		}
		for _, child := range it {
			routesOf(child, found)
		}
	case []interface{}:
		for _, child := range it {
			routesOf(child, found)
		}
	}
}

func toJSON(resource *any.Any) (json.RawMessage, error) {
	message, err := types{}.Resolve(resource.TypeUrl)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(resource.Value, message); err != nil {
		return nil, err
	}
	text, err := (&jsonpb.Marshaler{OrigName: true, AnyResolver: types{}}).MarshalToString(message)
	return json.RawMessage(text), err
}

// types finds messages by name, of either library. What nobody knows is shown as nothing but its name.
type types struct{}

func (types) Resolve(url string) (proto.Message, error) {
	name := url[strings.LastIndex(url, "/")+1:]
	kind := proto.MessageType(name)
	if kind == nil {
		kind = gogo.MessageType(name)
	}
	if kind == nil {
		return &empty.Empty{}, nil
	}
	message, is := reflect.New(kind.Elem()).Interface().(proto.Message)
	if !is {
		return nil, fmt.Errorf("%s is no message", name)
	}
	return message, nil
}
