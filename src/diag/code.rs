//! The codes of all diagnostics: the one list of what can be wrong.

use std::fmt;

/// Whether a diagnostic stops the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nothing is written.
    Error,
    /// The bundle is written; `allow:` in the topology silences it.
    Warning,
}

macro_rules! codes {
    ($($id:ident $name:ident $severity:ident $title:literal;)*) => {
        /// The stable name of a diagnostic. A code is never used for a second meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As printed: `T0201`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($id)),* }
            }

            /// As named in the source: `UnknownCluster`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The rule in one phrase.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// Whether it stops the compiler.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// The longer story, in Markdown, with a wrong and a right example.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("explain/", stringify!($id), ".md"))),* }
            }
        }
    };
}

codes! {
    T0001 NotText Error "the file is not plain UTF-8 text";
    T0002 TooLarge Error "the file is larger than any topology";
    T0003 EmptyFile Error "the file says nothing";
    T0004 InvalidYaml Error "the file is not valid YAML";
    T0005 SeveralDocuments Error "the file holds several YAML documents";
    T0006 TooDeep Error "the file is nested too deeply";
    T0007 TooManyAliases Error "aliases expand to an unreasonable size";
    T0008 DuplicateKey Error "a key stands twice in one map";
    T0009 KeyNotText Error "a key is a number, a boolean or a structure";
    T0010 DeclaredTwice Error "two files declare the same";

    T0101 UnknownField Error "a field has an unknown name";
    T0102 WrongType Error "a value has the wrong shape";
    T0103 MissingField Error "a required field is missing";
    T0104 UnknownVersion Error "the topology has a version this compiler does not read";
    T0105 InvalidAllow Error "`allow` names something that is not a warning";

    T0201 UnknownCluster Error "no cluster has this name";
    T0202 UnknownService Error "no service has this name";
    T0203 UnknownPort Error "the service has no such port";
    T0204 AmbiguousPort Error "the service has several ports and none was chosen";
    T0205 UnplacedService Error "no cluster runs the service";
    T0206 PlacedTwice Error "one cluster is named twice";
    T0207 NoPorts Error "the service listens on no port";
    T0208 RepeatedCall Error "the same call is declared twice";
    T0209 NoClusters Error "the topology has no clusters";
    T0210 InvalidBalance Error "the calls to a service cannot be shared like that";

    T0301 InvalidName Error "a name cannot be used";
    T0302 NameTooLong Error "a name is longer than Kubernetes and DNS allow";
    T0303 InvalidDnsName Error "a host or suffix is no DNS name";
    T0304 DuplicateHost Error "two services have one host";
    T0305 ReservedSuffix Error "the suffix belongs to Kubernetes";
    T0306 PublicSuffix Warning "the suffix is a real top-level domain";
    T0307 InvalidLabel Error "a label or annotation is not valid in Kubernetes";
    T0308 NameCollision Error "two objects would have one name";
    T0309 ReservedNamespace Error "the namespace belongs to Kubernetes or Istio";

    T0401 InvalidAddress Error "an address is neither an IP nor a DNS name";
    T0402 MissingGateway Error "a cluster is called from others and has no gateway address";
    T0403 PrivateGateway Warning "a gateway address is private";
    T0404 SharedGateway Error "two clusters have one gateway address";
    T0405 UnusableGateway Error "a gateway address can never be reached from another cluster";
    T0406 GatewayIsVirtual Error "a gateway address lies in the range of virtual IPs";
    T0407 InvalidRange Error "a range of addresses is not valid";
    T0408 OverlappingRanges Error "two ranges of one cluster overlap";
    T0409 VirtualRangeOverlap Warning "the range of virtual IPs overlaps a declared range";
    T0410 VirtualIpCollision Error "two hosts fall on one virtual IP";
    T0411 VirtualRangeFull Error "the range of virtual IPs has no room";
    T0412 InvalidVirtualIp Error "a pinned virtual IP cannot be used";
    T0413 StubOutsideServices Error "the DNS server's address is outside the service range";
    T0414 MissingStubAddress Error "the address of the DNS server is missing";
    T0415 InvalidLocality Error "a locality is not region/zone/subzone";
    T0416 SharedNetwork Error "two clusters are on one network";
    T0417 NamedGateway Error "a gateway's DNS name cannot stand beside pods, or in an order";
    T0418 UnorderedGateways Error "gateways that are written once cannot be put in order";
    T0419 TooManyListeners Error "a Gateway of the Gateway API has no room for all that is exported";
    T0420 SharedSelector Error "one Service selects what answers for another";

    T0501 InvalidPort Error "a port is not a number from 1 to 65535";
    T0502 UnknownProtocol Error "Istio knows no such protocol";
    T0503 ProtocolMismatch Error "a port's name and its protocol disagree";
    T0504 ProtocolNotSaid Error "a port's name does not say its protocol";
    T0505 DuplicatePort Error "one port number stands twice";
    T0506 InvalidPortName Error "a port name is not valid";
    T0507 UdpAcrossClusters Error "UDP cannot cross clusters";
    T0508 ListenerCollision Error "two listeners of a sidecar collide";

    T0601 InvalidRelease Error "a release is not written as a version";
    T0602 UnsupportedIstio Error "this Istio release cannot be compiled for";
    T0603 UnsupportedKubernetes Error "this Istio does not run on that Kubernetes";
    T0604 FieldNotInRelease Error "the Istio release does not know what is asked for";
    T0605 UntestedKubernetes Warning "Istio never tested this release on that Kubernetes";
    T0606 NewerIstio Warning "the Istio release is newer than this compiler knows";
    T0607 FieldWithoutEffect Warning "an old release ignores what a field asks for";

    T0701 SuffixNeedsOwnServer Error "istiocoredns serves no suffix but `global`";
    T0702 StubDomainTaken Error "the cluster's DNS already serves the suffix";
    T0703 InvalidDns Error "a DNS setting does not fit the provider";

    T0801 SecretInFile Error "the topology holds a secret";
    T0802 PublicSampleCa Error "the root is Istio's public sample";
    T0803 InvalidFingerprint Error "a fingerprint is not a SHA-256";
    T0804 DifferentRoots Error "two clusters have different roots";
    T0805 PlaintextPassword Warning "an environment variable looks like a password in clear";

    T0901 EnvironmentTwice Error "an environment variable is set twice";
    T0902 InvalidEnvironmentName Error "an environment variable has an invalid name";
    T0903 InvalidForm Error "the form of an address is not valid";
    T0904 NobodySetsVariable Warning "a call names a variable that the compiler cannot set";
    T0905 FieldNeedsKubernetes Error "a field needs a newer Kubernetes";
    T0906 NotInMesh Error "a pod outside the mesh takes part in a call between clusters";
    T0907 InvalidWorkload Error "a workload does not fit together";
    T0908 UnknownIdentity Error "the identity of a caller is not known";

    T1001 UnusedExternal Warning "nobody calls an external host";
    T1002 UnusedVirtualIp Warning "a virtual IP is pinned and nobody calls from afar";
    T1003 IngressConflict Error "two ingresses claim one host";
    T1004 InvalidIngress Error "an ingress cannot work";
    T1005 ExternalHost Error "an external host is not outside the mesh";

    T1101 UnknownAddressName Error "an address was given for something the topology does not have";
    T1102 InvalidAddressValue Error "an address from outside the topology is not valid";

    T1201 InvalidMove Error "a service cannot be moved like that";
    T1202 InvalidShares Error "the shares of a move do not grow from 0 to 100";
    T1203 NotEditable Error "the topology cannot be edited without changing more than the service";
    T1204 BrokenStep Error "a step of a move has errors";
    T1205 MovePending Error "a move needs an address that is not known yet";

    T1301 InvalidLock Error "the lock is not one that can be read";
    T1302 UnmergedLock Error "the lock holds a merge conflict";
    T1303 ContradictoryLock Error "two lines of the lock contradict each other";
    T1304 LostAddress Error "an address of the lock cannot be kept";
    T1305 LockOutdated Error "the lock is not what the topology needs";

    T1401 NotFormattable Error "a file cannot be formatted without changing what it says";
}

impl Code {
    /// The code printed as `id`, whatever its case.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(id))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
