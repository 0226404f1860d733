"""Reads BUILD files. Starlark is close enough to Python to run them, and their macros, as such."""

import builtins
import dataclasses
import functools

# Attributes that hold the files of a target.
_FILE_ATTRIBUTES = ("srcs", "hdrs", "textual_hdrs")


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
        """The paths that others may include, generated ones too."""
        return [f"{self.package}/{name}".lstrip("/") for name in
                strings([self.attributes.get("hdrs"), self.attributes.get("textual_hdrs")])]

    def dependencies(self):
        """The labels of its direct dependencies."""
        return [_absolute(label, self.package) for label in strings(self.attributes.get("deps"))]


def read_targets(tree):
    """The targets of all BUILD files of `tree`."""
    targets = []
    for path in tree.paths("BUILD"):
        folder, _, name = path.rpartition("/")
        if name == "BUILD":
            package = _Package(tree, folder)
            package.execute(path)
            targets += package.targets
    return targets


def strings(value):
    """All strings inside nested lists and dictionaries."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.keys()) + list(value.values())
    return [text for item in value for text in strings(item)] if isinstance(value, list) else []


class _Package:
    """What a BUILD file sees, as `native` or plainly: each rule it calls makes a target."""

    def __init__(self, tree, folder):
        self.targets = []
        self._tree = tree
        self._folder = folder

    def execute(self, path):
        """Runs a BUILD or .bzl file, and returns the names it defines."""
        names = _Names(self)
        exec(compile(self._tree.text(path), path, "exec"), names)  # pylint: disable=exec-used
        return names

    def load(self, names, label, *symbols):
        path = label.lstrip("/").replace(":", "/")
        if path in self._tree:  # Else it is Bazel's own.
            loaded = self.execute(path)
            names.update({symbol: loaded[symbol] for symbol in symbols})

    def package_name(self):
        return self._folder

    def glob(self, *_, **__):
        return []

    def select(self, cases):
        return sum(cases.values(), [])

    def __getattr__(self, rule):
        return self._record

    def _record(self, *files, **attributes):
        if "name" in attributes:
            self.targets.append(Target(self._folder, attributes))
        elif files:  # exports_files([...])
            self.targets.append(Target(self._folder, {"name": "", "srcs": list(files)}))


class _Names(dict):
    """The global names of one file."""

    def __init__(self, package):
        super().__init__(native=package, load=functools.partial(package.load, self))
        self._package = package

    def __missing__(self, name):
        if hasattr(builtins, name):
            raise KeyError(name)
        return getattr(self._package, name)


def _absolute(label, package):
    """`label` as //package:name."""
    if label.startswith(":"):
        return f"//{package}{label}"
    return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"
