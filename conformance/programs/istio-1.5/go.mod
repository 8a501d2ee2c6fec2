module meshlatch/conformance/programs/istio-1.5

go 1.13

require istio.io/istio v0.0.0-20200812220246-25bea56c0eb0

require (
	google.golang.org/grpc v1.26.0
	k8s.io/apimachinery v0.17.2
	k8s.io/client-go v0.17.2
	meshlatch/conformance/old/pilot v0.0.0
)

replace github.com/golang/glog => github.com/istio/glog v0.0.0-20190424172949-d7cfb6fa2ccd

replace k8s.io/klog => github.com/istio/klog v0.0.0-20190424230111-fb7481ea8bcf

replace github.com/spf13/viper => github.com/istio/viper v1.3.3-0.20190515210538-2789fed3109c

replace github.com/docker/docker => github.com/docker/engine v1.4.2-0.20191011211953-adfac697dc5b

replace github.com/Azure/go-autorest/autorest => github.com/Azure/go-autorest/autorest v0.9.0

replace github.com/Azure/go-autorest/autorest/adal => github.com/Azure/go-autorest/autorest/adal v0.5.0

replace github.com/Azure/go-autorest => github.com/Azure/go-autorest v13.2.0+incompatible

replace vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc

replace meshlatch/conformance/old/pilot => ../../old/pilot
