"""The files that tidy looks at: what is in git, and what would be with the next `git add`."""

import dataclasses
import pathlib
import subprocess

CC_SUFFIXES = (".cc", ".h", ".cu", ".cuh")
HEADER_SUFFIXES = (".h", ".cuh")
SOURCE_SUFFIXES = CC_SUFFIXES + (".proto", ".py", ".sh", ".bzl")
SOURCE_NAMES = ("BUILD", "WORKSPACE", ".bazelrc", "run")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """One breach of a rule. Line 0 speaks of the whole file."""

    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


class SourceTree:
    """The content of every file, by its path from the root of the repository."""

    def __init__(self, contents):
        self._contents = contents

    @classmethod
    def of_checkout(cls, root):
        # safe.directory: a clone made by one user may be tested by another (sudo).
        listing = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached",
             "--others", "--exclude-standard"],
            check=True, stdout=subprocess.PIPE,
        ).stdout
        paths = sorted(set(listing.decode().split("\0")) - {""})
        files = {path: pathlib.Path(root, path) for path in paths}
        return cls({path: file.read_bytes() for path, file in files.items() if file.is_file()})

    def paths(self, *suffixes):
        """The paths that end in one of `suffixes`; all when there is none."""
        return [path for path in self._contents if not suffixes or path.endswith(suffixes)]

    def sources(self):
        """The paths of what people wrote to be read: code, build files and scripts."""
        return [path for path in self._contents
                if path.endswith(SOURCE_SUFFIXES) or path.split("/")[-1] in SOURCE_NAMES]

    def __contains__(self, path):
        return path in self._contents

    def size_bytes(self, path):
        return len(self._contents[path])

    def text(self, path):
        return self._contents[path].decode("utf-8", errors="replace")

    def numbered_lines(self, path):
        return enumerate(self.text(path).splitlines(), start=1)


def is_test(path):
    """Whether `path` is a test, or belongs to the tests of several processes."""
    return path.startswith("tests/") or path.rsplit(".", 1)[0].endswith("_test")
