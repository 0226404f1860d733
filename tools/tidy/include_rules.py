"""Which file may include what: DESIGN.md section 3, and STYLE.md rule 6."""

import collections
import re

from build_files import read_targets
from source_tree import CC_SUFFIXES, Finding

_INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')

_DAEMON = {"base", "proto", "kernels", "model", "activation_store"}
# Folder -> the other folders it may include. tools/ and tests/ may include anything.
_MAY_INCLUDE = {
    "base": set(),
    "kernels": {"base"},
    "model": {"base", "kernels"},
    "activation_store": {"base", "kernels"},
    "server": _DAEMON,
    "trainer": _DAEMON,
}
_FOLDERS = set(_MAY_INCLUDE) | {"proto", "tools", "tests"}

# The side of activation_store/ that is not for a daemon: the server owns records, the trainer
# borrows them.
_OTHER_SIDE = {"server": "//activation_store:reader", "trainer": "//activation_store:store"}

_GRPC_FILES = ("_service.cc", "_link.cc", "_client.cc", "_main.cc", "_test.cc")


def _may_include_grpc(path):
    return path.endswith(_GRPC_FILES) or (path.startswith("tests/") and path.endswith(".cc"))


# (what is included, who may include it, why others may not).
_CONFINED = (
    (re.compile(r"cuda|cublas|cudnn|nccl|dnnl|oneapi/"), lambda path: path.startswith("kernels/"),
     "only kernels/ knows devices and their libraries"),
    (re.compile(r"grpcpp/|grpc/|.*\.grpc\.pb\.h$"), _may_include_grpc,
     "gRPC belongs in *_service.cc, *_link.cc, *_client.cc, *_main.cc and tests, in no header"),
    (re.compile(r"glog/"), lambda path: path == "base/logging.h",
     "logging is base/logging.h"),
    (re.compile(r"absl/log/"), lambda path: False,
     "it defines LOG and CHECK a second time; logging is base/logging.h"),
    (re.compile(r"absl/synchronization/|(shared_)?mutex$|condition_variable$"),
     lambda path: path.startswith("base/"), "locks are base/mutex.h"),
    (re.compile(r"omp\.h$"), lambda path: path == "kernels/onednn.cc",
     "threads are kernels/worker_pool.h; only oneDNN's own are switched off by OpenMP"),
)


def check_includes(tree):
    """Direction between folders, sides of the store, and libraries that have one place."""
    owners = _owners_of_headers(read_targets(tree))
    for path in tree.paths(*CC_SUFFIXES):
        folder = path.partition("/")[0]
        for line, included in _includes(tree, path):
            for message in _breaches(tree, path, folder, included, owners):
                yield Finding(path, line, f"includes {included}: {message}")


def _breaches(tree, path, folder, included, owners):
    other = included.partition("/")[0]
    if folder in _MAY_INCLUDE and other in _FOLDERS - _MAY_INCLUDE[folder] - {folder}:
        yield f"{folder}/ may not include {other}/"
    if _OTHER_SIDE.get(folder) in owners[included]:
        yield f"{folder}/ may not include {_OTHER_SIDE[folder]}"
    if ".." in included or f"{path.rpartition('/')[0]}/{included}" in tree:
        yield "includes are written from the root of the repository"
    for pattern, is_allowed, reason in _CONFINED:
        if pattern.match(included) and not is_allowed(path):
            yield reason


def check_dependencies(tree):
    """An included header must come from a direct dependency in BUILD: only then does Bazel's
    visibility, which it checks between direct dependencies, hold for includes too."""
    targets = read_targets(tree)
    owners = _owners_of_headers(targets)
    for target in targets:
        reachable = {target.label, *target.dependencies()}
        for path in target.files():
            if path not in tree or not path.endswith(CC_SUFFIXES):
                continue
            for line, included in _includes(tree, path):
                missing = owners[included] and not owners[included] & reachable
                if missing and included not in target.files():
                    owner = " or ".join(sorted(owners[included]))
                    yield Finding(path, line, f"includes {included}: {target.label} does not "
                                  f"list {owner} in its deps")


def _includes(tree, path):
    for line, text in tree.numbered_lines(path):
        match = _INCLUDE.match(text)
        if match:
            yield line, match.group(1)


def _owners_of_headers(targets):
    owners = collections.defaultdict(set)
    for target in targets:
        for header in target.headers():
            owners[header].add(target.label)
    return owners
