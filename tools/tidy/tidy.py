#!/usr/bin/python3 -B
"""Checks what the compiler does not: tidy.py WORKSPACE, the file at the root of the repository.

Prints the lines per folder and every breach of a rule; exits with 1 when there is one. The rules
stand in the *_rules.py beside this file, each with a bad example in rules_test.py.
"""

import pathlib
import sys

import file_rules
import include_rules
import size_rules
import text_rules
from source_tree import SourceTree

RULES = (
    include_rules.check_includes,
    include_rules.check_dependencies,
    size_rules.check_sizes,
    text_rules.check_words,
    text_rules.check_suppressions,
    text_rules.check_headers,
    file_rules.check_blobs,
    file_rules.check_dead_files,
    file_rules.check_licences,
)


def main(workspace_file):
    # Bazel hands a link to the file; the sources are where the file really is.
    tree = SourceTree.of_checkout(pathlib.Path(workspace_file).resolve().parent)
    print("\n".join(size_rules.lines_per_folder(tree)))
    findings = sorted(finding for rule in RULES for finding in rule(tree))
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
