module meshlatch/conformance/programs/istio-1.8

go 1.15

require istio.io/istio v0.0.0-20201118224433-c87a4c874df2

require (
	google.golang.org/grpc v1.33.1
	k8s.io/apimachinery v0.19.3
	k8s.io/client-go v0.19.3
	meshlatch/conformance/old/pilot v0.0.0
)

replace github.com/spf13/viper => github.com/istio/viper v1.3.3-0.20190515210538-2789fed3109c

replace github.com/chzyer/logex => github.com/chzyer/logex v1.1.11-0.20170329064859-445be9e134b2

replace github.com/docker/distribution => github.com/docker/distribution v2.7.1+incompatible

replace github.com/Microsoft/hcsshim => github.com/Microsoft/hcsshim v0.8.8-0.20200421182805-c3e488f0d815

replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5

replace github.com/evanphx/json-patch => github.com/evanphx/json-patch v0.0.0-20190815234213-e83c0a1c26c8

replace vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc

replace meshlatch/conformance/old/pilot => ../../old/pilot
