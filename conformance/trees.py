"""Checks one part of a generated tree; trees.sh calls it.

  trees.py objects CLUSTER_DIR PRINTED   objects in the files that
        kustomization.yaml lists == objects that kustomize printed
  trees.py blocks DIR TO                 writes the sh blocks of every *.md under
        DIR, those of one file together, to scripts in the folder TO
  trees.py load DIR                      every *.yaml under DIR loads

Everything is loaded with PyYAML's safe loader, that is by YAML 1.1's rules
for plain scalars. It prints each difference, and exits 1 if there is any.
"""
import math
import os
import sys

import yaml


class Loader(yaml.SafeLoader):
    """SafeLoader, but a key given twice is an error (PyYAML keeps the last)."""

    def construct_mapping(self, node, deep=False):
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key_node, _ in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    continue
                key = self.construct_object(key_node, deep=True)
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, "duplicate key %r" % (key,), key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_all(path):
    with open(path, "rb") as f:
        return list(yaml.load_all(f, Loader=Loader))


def expand(doc, where):
    """The objects of one document: a v1 List stands for its items."""
    if doc is None:
        return
    if not isinstance(doc, dict) or not doc.get("kind"):
        raise ValueError("%s: a document that is no Kubernetes object" % where)
    if doc["kind"].endswith("List") and isinstance(doc.get("items"), list):
        for item in doc["items"]:
            yield from expand(item, where)
    else:
        yield doc


def ident(obj):
    meta = obj.get("metadata") or {}
    return tuple(str(x) if x is not None else "" for x in (
        obj.get("apiVersion"), obj["kind"], meta.get("namespace"), meta.get("name")))


def show(ident_):
    return "%s %s %s/%s" % (ident_[0], ident_[1], ident_[2] or "-", ident_[3])


def index(docs, where, out):
    for doc in docs:
        for obj in expand(doc, where):
            i = ident(obj)
            if i in out:
                raise ValueError("%s: %s is there twice (also in %s)" % (where, show(i), out[i][1]))
            out[i] = (obj, where)


def differences(a, b, path=""):
    """Where two loaded values differ; 1, 1.0 and True differ from another."""
    if type(a) is not type(b):
        yield "%s: %s %r in the file, %s %r printed" % (
            path or ".", type(a).__name__, a, type(b).__name__, b)
    elif isinstance(a, dict):
        for key in sorted(set(a) | set(b), key=lambda k: (type(k).__name__, str(k))):
            if key not in a:
                yield "%s.%s: only printed" % (path, key)
            elif key not in b:
                yield "%s.%s: only in the file" % (path, key)
            else:
                yield from differences(a[key], b[key], "%s.%s" % (path, key))
    elif isinstance(a, list):
        if len(a) != len(b):
            yield "%s: %d items in the file, %d printed" % (path or ".", len(a), len(b))
        for n, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, "%s[%d]" % (path, n))
    elif a != b and not (isinstance(a, float) and math.isnan(a) and math.isnan(b)):
        yield "%s: %r in the file, %r printed" % (path or ".", a, b)


def check_objects(cluster, printed_path):
    [kustomization] = load_all(os.path.join(cluster, "kustomization.yaml"))
    resources = kustomization.get("resources")
    if not isinstance(resources, list) or not resources:
        return ["kustomization.yaml: no resources"], 0
    ours, printed = {}, {}
    for name in resources:
        path = os.path.join(cluster, name)
        if not os.path.isfile(path):
            return ["kustomization.yaml: %r is no file of the tree" % name], 0
        index(load_all(path), name, ours)
    index(load_all(printed_path), "kustomize's output", printed)
    errors = []
    for i in sorted(set(ours) | set(printed)):
        if i not in printed:
            errors.append("%s: %s is not in kustomize's output" % (ours[i][1], show(i)))
        elif i not in ours:
            errors.append("%s is in kustomize's output only" % show(i))
        else:
            errors.extend("%s: %s: %s" % (ours[i][1], show(i), d)
                          for d in differences(ours[i][0], printed[i][0]))
    if not ours:
        errors.append("no object in any of the resources")
    return errors, len(ours)


def check_load(tree):
    errors, count = [], 0
    for folder, folders, files in os.walk(tree):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".yaml"):
                count += 1
                path = os.path.join(folder, name)
                try:
                    load_all(path)
                except (yaml.YAMLError, ValueError, TypeError) as e:
                    errors.append("%s: %s" % (os.path.relpath(path, tree), e))
    if not count:
        errors.append("no *.yaml file")
    return errors, count


def write_blocks(tree, to):
    count = 0
    for folder, folders, files in os.walk(tree):
        folders.sort()
        for name in sorted(files):
            if not name.endswith(".md"):
                continue
            lines, inside = [], False
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                for line in f:
                    fence = line.startswith("```")
                    if fence:
                        inside = line.strip() == "```sh"
                    lines.append(line if inside and not fence else "\n")
            count += 1
            script = os.path.relpath(os.path.join(folder, name), tree).replace(os.sep, "__") + ".sh"
            with open(os.path.join(to, script), "w", encoding="utf-8") as f:
                f.writelines(lines)
    return ([] if count else ["no *.md file"]), count


def main(argv):
    if len(argv) == 4 and argv[1] == "objects":
        check, args, what = check_objects, argv[2:], "objects"
    elif len(argv) == 4 and argv[1] == "blocks":
        check, args, what = write_blocks, argv[2:], None
    elif len(argv) == 3 and argv[1] == "load":
        check, args, what = check_load, argv[2:], "files"
    else:
        sys.exit(__doc__)
    try:
        errors, count = check(*args)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OSError) as e:
        errors, count = [str(e)], 0
    for e in errors:
        print(e)
    if not errors and what:
        print("%d %s" % (count, what))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
