"""Which files may be there: no large ones without their origin, none that nothing builds."""

import re

from build_files import read_targets, strings
from source_tree import CC_SUFFIXES, Finding

BLOB_BYTES_MAX = 256 * 1024
ALLOWED_BLOBS = "tools/allowed_blobs.txt"
INSTALLER = "deploy/install-deps.sh"
LICENCES = "docs/licences.md"


def check_blobs(tree):
    """A large file is listed in tools/allowed_blobs.txt with the command that makes it."""
    listed = set()
    for line, text in tree.numbered_lines(ALLOWED_BLOBS):
        if not text.strip() or text.startswith("#"):
            continue
        path, _, command = text.partition(" ")
        listed.add(path)
        if not command.strip():
            yield Finding(ALLOWED_BLOBS, line, f"{path} has no command that makes it")
        if path not in tree:
            yield Finding(ALLOWED_BLOBS, line, f"{path} does not exist")
    for path in tree.paths():
        if tree.size_bytes(path) > BLOB_BYTES_MAX and path not in listed:
            yield Finding(path, 0, f"{tree.size_bytes(path)} bytes; above {BLOB_BYTES_MAX} a file "
                          f"must be in {ALLOWED_BLOBS}")


def check_dead_files(tree):
    """C++, protocols and tests that no BUILD file names are dead."""
    named = set()
    for target in read_targets(tree):
        for name in strings(list(target.attributes.values())):
            named.add(f"{target.package}/{name}".lstrip("/"))
            named.add(name.lstrip("/").replace(":", "/"))  # From //package:file.
    for path in tree.paths(*CC_SUFFIXES, ".proto", "_test.py", "_test.sh"):
        if path not in named:
            yield Finding(path, 0, "no BUILD file names it")


def check_licences(tree):
    """Every package that the installer installs has its row in docs/licences.md, and no other."""
    array = re.search(r"PACKAGES=\(([^)]*)\)", tree.text(INSTALLER))
    installed = set(array.group(1).split()) if array else set()
    documented = set(re.findall(r"^\| `([^`]+)`", tree.text(LICENCES), re.MULTILINE))
    for package in sorted(installed - documented):
        yield Finding(LICENCES, 0, f"has no row for the package {package}")
    for package in sorted(documented - installed):
        yield Finding(LICENCES, 0, f"has a row for {package}, which {INSTALLER} does not install")
