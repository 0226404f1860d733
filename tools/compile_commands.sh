#!/bin/bash
# Writes compile_commands.json at the root of the repository: how Bazel compiles each C++ file, for
# clangd. Run it again when a BUILD file changed. The paths in it go through the bazel-out link that
# Bazel keeps beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The headers that protoc generates must exist before clangd can read them.
bazel build --keep_going //proto/...
actions="$(bazel aquery --output=jsonproto --noinclude_artifacts 'mnemonic("CppCompile", //...)')"
python3 -c '
import json, os, sys

# What GCC knows and clang refuses.
GCC_ONLY = {"-fno-canonical-system-headers", "-Wno-free-nonheap-object"}

commands = {}
for action in json.load(sys.stdin)["actions"]:
    arguments = [text for text in action["arguments"] if text not in GCC_ONLY]
    file = arguments[arguments.index("-c") + 1]
    commands[file] = {"directory": os.getcwd(), "file": file, "arguments": arguments}
with open("compile_commands.json", "w", encoding="utf-8") as output:
    json.dump(list(commands.values()), output, indent=1)
print(f"compile_commands.json: {len(commands)} files")
' <<<"$actions"
