module meshlatch/conformance/programs/istio-1.7

go 1.14

require istio.io/istio v0.0.0-20210223230603-30e54dcb8a1c

require (
	google.golang.org/grpc v1.29.1
	k8s.io/apimachinery v0.18.3
	k8s.io/client-go v0.18.3
	meshlatch/conformance/old/pilot v0.0.0
)

replace github.com/golang/glog => github.com/istio/glog v0.0.0-20190424172949-d7cfb6fa2ccd

replace k8s.io/klog => github.com/istio/klog v0.0.0-20190424230111-fb7481ea8bcf

replace github.com/spf13/viper => github.com/istio/viper v1.3.3-0.20190515210538-2789fed3109c

replace github.com/docker/docker => github.com/docker/engine v1.4.2-0.20191011211953-adfac697dc5b

replace github.com/chzyer/logex => github.com/chzyer/logex v1.1.11-0.20170329064859-445be9e134b2

replace github.com/docker/distribution => github.com/docker/distribution v2.7.1+incompatible

replace github.com/Microsoft/hcsshim => github.com/Microsoft/hcsshim v0.8.8-0.20200421182805-c3e488f0d815

replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5

replace vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc

replace meshlatch/conformance/old/pilot => ../../old/pilot
