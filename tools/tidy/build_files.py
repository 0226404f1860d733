"""Reads BUILD files. Starlark is close enough to Python to run them as such."""

import builtins
import dataclasses

# Attributes that hold the files of a target.
_FILE_ATTRIBUTES = ("srcs", "hdrs", "textual_hdrs", "src")


@dataclasses.dataclass
class Target:
    package: str  # Its folder.
    attributes: dict

    @property
    def label(self):
        return f"//{self.package}:{self.attributes['name']}"

    def files(self):
        """The paths of its sources and headers in this package."""
        return [f"{self.package}/{name}".lstrip("/")
                for name in strings([self.attributes.get(key) for key in _FILE_ATTRIBUTES])]

    def headers(self):
        """The paths that others may include. A proto library's are generated."""
        if "src" in self.attributes and self.attributes["src"].endswith(".proto"):
            stem = f"{self.package}/{self.attributes['src'][:-len('.proto')]}"
            return [stem + ".pb.h", stem + ".grpc.pb.h"]
        return [f"{self.package}/{name}".lstrip("/") for name in
                strings([self.attributes.get("hdrs"), self.attributes.get("textual_hdrs")])]

    def dependencies(self):
        """The labels of its direct dependencies."""
        return [_absolute(label, self.package) for label in strings(self.attributes.get("deps"))]


def read_targets(tree):
    """The targets of all BUILD files of `tree`."""
    targets = []
    for path in tree.paths("BUILD"):
        if path.split("/")[-1] == "BUILD":
            targets += _run(tree.text(path), path)
    return targets


def strings(value):
    """All strings inside nested lists and dictionaries."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.keys()) + list(value.values())
    return [text for item in value for text in strings(item)] if isinstance(value, list) else []


class _Names(dict):
    """The names a BUILD file sees: every function it calls with a name makes a target."""

    def __init__(self, package):
        super().__init__(glob=lambda *_, **__: [], select=lambda cases: sum(cases.values(), []))
        self.package = package
        self.targets = []

    def __missing__(self, name):
        if hasattr(builtins, name):
            raise KeyError(name)
        return self._record

    def _record(self, *files, **attributes):
        if "name" in attributes:
            self.targets.append(Target(self.package, attributes))
        elif files:  # exports_files([...]), load("...").
            self.targets.append(Target(self.package, {"name": "", "srcs": list(files)}))


def _run(text, path):
    names = _Names(path.rpartition("/")[0])
    exec(compile(text, path, "exec"), names)  # pylint: disable=exec-used
    return names.targets


def _absolute(label, package):
    """`label` as //package:name."""
    if label.startswith(":"):
        return f"//{package}{label}"
    return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"
