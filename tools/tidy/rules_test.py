#!/usr/bin/python3 -B
"""Each rule of tidy, red on a small tree that breaks it and green on one that does not."""

import pathlib
import subprocess
import tempfile
import unittest

import file_rules
import include_rules
import size_rules
import text_rules
from cc_functions import find_functions
from source_tree import SourceTree


def tree_of(**files):
    """A tree of {path: text}; in the keywords __ stands for / and the last _ for a dot."""
    contents = {}
    for key, text in files.items():
        path = key.replace("__", "/")
        path = path if path.endswith("BUILD") else ".".join(path.rsplit("_", 1))
        contents[path] = text.encode()
    return SourceTree(contents)


def messages(rule, tree):
    return [str(finding) for finding in rule(tree)]


class IncludeRulesTest(unittest.TestCase):
    def assert_breach(self, path, included, reason):
        tree = SourceTree({path: f"// A file.\n#include {included}\n".encode()})
        found = messages(include_rules.check_includes, tree)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:2: "), found)
        self.assertIn(reason, found[0])

    def assert_allowed(self, path, included):
        tree = SourceTree({path: f"#include {included}\n".encode()})
        self.assertEqual(messages(include_rules.check_includes, tree), [])

    def test_folders_include_only_what_lies_below_them(self):
        self.assert_breach("base/a.h", '"kernels/b.h"', "base/ may not include kernels/")
        self.assert_breach("kernels/a.cc", '"model/b.h"', "kernels/ may not include model/")
        self.assert_breach("model/a/a.cc", '"activation_store/b.h"', "may not include")
        self.assert_breach("activation_store/a.cc", '"model/b.h"', "may not include")
        self.assert_breach("model/a.cc", '"proto/alchemist/v1/link.pb.h"', "may not include proto/")
        self.assert_breach("server/a.cc", '"trainer/b.h"', "server/ may not include trainer/")
        self.assert_breach("trainer/a.cc", '"server/b.h"', "trainer/ may not include server/")
        self.assert_breach("trainer/a_test.cc", '"tools/b.h"', "trainer/ may not include tools/")
        self.assert_allowed("server/a.cc", '"model/b.h"')
        self.assert_allowed("trainer/a.cc", '"proto/alchemist/v1/link.pb.h"')
        self.assert_allowed("tests/a_test.cc", '"trainer/b.h"')
        self.assert_allowed("tools/a.cc", '"server/b.h"')

    def test_each_daemon_has_its_side_of_the_store(self):
        build = b"""
cc_library(name = "records", hdrs = ["record.h"])
cc_library(name = "store", hdrs = ["store.h"])
cc_library(name = "reader", hdrs = ["reader.h"])
"""
        forbidden = {("server", "reader"), ("trainer", "store")}
        for folder in ("server", "trainer"):
            for header in ("record", "store", "reader"):
                include = f'#include "activation_store/{header}.h"\n'
                tree = SourceTree({"activation_store/BUILD": build,
                                   f"{folder}/a.cc": include.encode()})
                found = messages(include_rules.check_includes, tree)
                self.assertEqual(len(found), int((folder, header) in forbidden), found)

    def test_libraries_have_one_place(self):
        self.assert_breach("model/a.cc", "<cuda_runtime.h>", "only kernels/ knows devices")
        self.assert_breach("server/a.cc", '"dnnl.hpp"', "only kernels/ knows devices")
        self.assert_breach("model/a.cc", '"oneapi/dnnl/dnnl.hpp"', "only kernels/ knows devices")
        self.assert_breach("trainer/a.cc", "<cublasLt.h>", "only kernels/ knows devices")
        self.assert_breach("trainer/a.cc", "<cudnn.h>", "only kernels/ knows devices")
        self.assert_allowed("kernels/a.cc", "<dnnl.hpp>")
        self.assert_breach("server/a.cc", '"grpcpp/grpcpp.h"', "gRPC belongs in")
        self.assert_breach("server/a_service.h", '"grpcpp/grpcpp.h"', "in no header")
        self.assert_breach("tests/daemon.h", '"proto/alchemist/v1/link.grpc.pb.h"', "in no header")
        self.assert_allowed("server/a_service.cc", '"grpcpp/grpcpp.h"')
        self.assert_allowed("trainer/server_link.cc", '"proto/alchemist/v1/link.grpc.pb.h"')
        self.assert_allowed("tools/completion_client.cc", '"grpcpp/grpcpp.h"')
        self.assert_allowed("server/alchemist_server_main.cc", '"grpcpp/grpcpp.h"')
        self.assert_allowed("tests/daemon.cc", '"grpcpp/grpcpp.h"')
        self.assert_breach("base/status.h", "<glog/logging.h>", "logging is base/logging.h")
        self.assert_allowed("base/logging.h", "<glog/logging.h>")
        self.assert_breach("base/logging.h", '"absl/log/log.h"', "a second time")
        self.assert_breach("server/a.cc", '"absl/synchronization/mutex.h"', "locks are")
        self.assert_breach("server/a.cc", "<mutex>", "locks are base/mutex.h")
        self.assert_breach("server/a.cc", "<condition_variable>", "locks are base/mutex.h")
        self.assert_allowed("base/mutex.h", "<mutex>")
        self.assert_allowed("server/a.cc", '"base/mutex.h"')
        self.assert_breach("kernels/a.cc", "<omp.h>", "threads are kernels/worker_pool.h")
        self.assert_allowed("kernels/onednn.cc", "<omp.h>")

    def test_includes_are_written_from_the_root(self):
        self.assert_breach("base/a.cc", '"../base/b.h"', "from the root")
        tree = tree_of(base__a_cc='#include "b.h"\n', base__b_h="")
        self.assertEqual(messages(include_rules.check_includes, tree),
                         ["base/a.cc:1: includes b.h: includes are written from the root of the "
                          "repository"])

    def test_an_included_header_comes_from_a_direct_dependency(self):
        macro = """
def proto_library(name, src):
    native.cc_library(name = name, hdrs = [_stem(src) + ".pb.h"])

def _stem(src):
    return src[:-len(".proto")]
"""
        build = """
load("//base:defs.bzl", "proto_library")
proto_library(name = "link", src = "link.proto")
cc_library(name = "low", hdrs = ["low.h"])
cc_library(name = "middle", hdrs = ["middle.h"], deps = [":low"])
cc_library(name = "high", srcs = ["high.cc"], hdrs = ["high.h"], deps = [":middle"] + EXTRA)
"""
        high = '#include "base/high.h"\n#include "base/low.h"\n#include "base/link.pb.h"\n'
        files = {"base/high.cc": high.encode(), "base/defs.bzl": macro.encode()}
        files["base/BUILD"] = ("EXTRA = []\n" + build).encode()
        self.assertEqual(messages(include_rules.check_dependencies, SourceTree(files)), [
            "base/high.cc:2: includes base/low.h: //base:high does not list //base:low in its deps",
            "base/high.cc:3: includes base/link.pb.h: //base:high does not list //base:link in its "
            "deps",
        ])
        files["base/BUILD"] = ('EXTRA = select({"x": ["//base:low", ":link"]})\n' + build).encode()
        self.assertEqual(messages(include_rules.check_dependencies, SourceTree(files)), [])


class SizeRulesTest(unittest.TestCase):
    def test_long_files_functions_and_lines(self):
        tree = tree_of(
            base__file_cc="int a;\n" * 601,
            base__function_cc="void F() {\n" + "  f();\n" * 69 + "}\n",
            base__line_cc="// " + "é" * 98 + "\n",
            tools__function_py="def f():\n" + "    g()\n" * 70,
        )
        self.assertEqual(sorted(messages(size_rules.check_sizes, tree)), [
            "base/file.cc:0: 601 lines; the limit is 600",
            "base/function.cc:1: a function of 71 lines; the limit is 70",
            "base/line.cc:1: 101 columns; the limit is 100",
            "tools/function.py:1: a function of 71 lines; the limit is 70",
        ])

    def test_what_is_just_within_the_limits(self):
        tree = tree_of(
            base__file_cc="int a;\n" * 600,
            base__BUILD="# A list.\n" * 601,
            base__function_cc="void F() {\n" + "  f();\n" * 68 + "}\n",
            base__line_cc="// " + "é" * 97 + "\n// see https://" + "a" * 100 + "\n",
        )
        self.assertEqual(messages(size_rules.check_sizes, tree), [])

    def test_braces_that_do_not_match_are_a_finding(self):
        for text in ("namespace a {\n", "void F() {\n", "}\n", "int a = f(1;\n"):
            found = messages(size_rules.check_sizes, tree_of(base__a_cc=text))
            self.assertEqual(len(found), 1, text)
            self.assertIn("cannot be found", found[0])

    def test_counts_lines_per_folder(self):
        tree = tree_of(base__a_cc="int a;\n" * 3, base__a_test_cc="int b;\n", data__c_json="{}\n")
        self.assertEqual([row.split() for row in size_rules.lines_per_folder(tree)[1:]],
                         [["base", "3", "1"], ["all", "3", "1"]])


class FindFunctionsTest(unittest.TestCase):
    def first_lines(self, text):
        lines = text.splitlines()
        return [lines[first - 1].strip() for first, _ in find_functions(text)]

    def test_functions_of_namespaces_and_classes(self):
        self.assertEqual(self.first_lines("""
namespace a::b {
namespace {
enum class E : int { kA = 1, kB };
void Free(int x = (1)) { Call([] {}); }
}  // namespace
template <typename T, typename = std::enable_if_t<(sizeof(T) > 4)>>
class C final : public D<decltype(f())> {
 public:
  explicit C(int x)
      : a_{x}, b_(2) {
  }
  ~C() {}
  bool operator==(const C& o) const { return true; }
  C& operator=(const C&) = default;
  C& operator=(C&& o) { return *this; }
 private:
  int operator()(int x) const { return x; }
  int a_ = 3;
  int b_{2};
};
extern "C" {
void Plain() {}
}
TEST_F(CTest, Works) {
  auto l = [&] { return 1; };
}
}
"""), ["void Free(int x = (1)) { Call([] {}); }", "explicit C(int x)", "~C() {}",
       "bool operator==(const C& o) const { return true; }",
       "C& operator=(C&& o) { return *this; }",
       "int operator()(int x) const { return x; }", "void Plain() {}", "TEST_F(CTest, Works) {"])

    def test_tables_and_lambdas_of_a_namespace_are_values(self):
        self.assertEqual(self.first_lines(
            "constexpr int kTable[] = {1, f(2)};\nconst auto kCall = [](int a) { return a; };\n"
            "std::vector<int> v{1};\n"), [])

    def test_braces_in_literals_comments_and_directives_do_not_count(self):
        self.assertEqual(self.first_lines("""
#define OPEN(x) { \\
  {
void F() {
  f(1'000, '{', "{", '\\'', R"x({)")x");  // {
  /* { */
}
void G() {}
"""), ["void F() {", "void G() {}"])


class TextRulesTest(unittest.TestCase):
    def test_words_of_unfinished_work(self):
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X"):
            tree = tree_of(base__a_cc=f"int a;  // {word}: later\n")
            self.assertEqual(messages(text_rules.check_words, tree),
                             ["base/a.cc:1: unfinished work is an issue, not a comment"])
        self.assertEqual(messages(text_rules.check_words, tree_of(a_sh="mktemp a.XXXXXX\n")), [])

    def test_tests_neither_sleep_nor_skip_without_a_reason(self):
        for call in ("std::this_thread::sleep_for", "usleep", "absl::SleepFor", "sleep",
                     "nanosleep", "time.sleep"):
            self.assertEqual(len(messages(text_rules.check_words, SourceTree({
                "base/a_test.cc": f"  {call}(1);\n".encode(),
                "tests/helper.cc": f"  {call}(1);\n".encode(),
                "tests/daemon.py": f"  {call}(1);\n".encode(),
                "base/a.cc": f"  {call}(1);\n".encode(),  # Not a test.
            }))), 3, call)
        skip = "GTEST_SKIP()"
        tree = tree_of(base__a_test_cc=f'{skip};\n{skip} << "no device";\n')
        self.assertEqual(messages(text_rules.check_words, tree),
                         ["base/a_test.cc:1: a skip says why: GTEST_SKIP() << reason"])

    def test_sanitizers_are_silenced_in_one_place_and_for_libraries_only(self):
        silencer = "__attribute__((no_" + "sanitize(\"thread\")))\n"
        self.assertEqual(messages(text_rules.check_suppressions, tree_of(
            base__a_cc=silencer, base__a_supp="race:libgrpc\n",
            tests__tsan_supp=("# alchemist\nrace:libgrpc\n"
                              "race:alchemist::Store\nrace:ServingLoop\n"))), [
                "base/a.supp:0: suppressions belong in tests/tsan.supp",
                "tests/tsan.supp:3: suppressions are for libraries, not for our code",
                "tests/tsan.supp:4: suppressions are for libraries, not for our code",
                "base/a.cc:1: silences a sanitizer; only tests/tsan.supp may",
            ])

    def test_headers_open_with_a_comment_and_have_their_guard(self):
        good = ("// A thing.\n#ifndef ALCHEMIST_BASE_A_H_\n#define ALCHEMIST_BASE_A_H_\n"
                "#include <vector>\n#endif  // ALCHEMIST_BASE_A_H_\n")
        self.assertEqual(messages(text_rules.check_headers, tree_of(base__a_h=good)), [])
        for bad, reason in (
            (good.replace("// A thing.\n", ""), "opens with a comment"),
            (good.replace("BASE_A", "BASE_B"), "its guard is not ALCHEMIST_BASE_A_H_"),
            (good.replace("#define ALCHEMIST_BASE_A_H_\n", ""), "its guard"),
            (good.replace("  // ALCHEMIST_BASE_A_H_", ""), "its guard"),
            ("// A thing.\n#pragma once\n", "its guard"),
        ):
            found = messages(text_rules.check_headers, tree_of(base__a_h=bad))
            self.assertEqual(len(found), 1, bad)
            self.assertIn(reason, found[0])


class FileRulesTest(unittest.TestCase):
    def blob_findings(self, allowed):
        return messages(file_rules.check_blobs, SourceTree({
            "model/weights": bytes(256 * 1024 + 1), "model/small": bytes(256 * 1024),
            "tools/allowed_blobs.txt": allowed.encode()}))

    def test_large_files_are_listed_with_their_command(self):
        self.assertEqual(self.blob_findings("# comment\n\nmodel/weights tools/make.sh\n"), [])
        self.assertEqual(len(self.blob_findings("")), 1)
        self.assertIn("no command", self.blob_findings("model/weights\n")[0])
        self.assertIn("does not exist",
                      self.blob_findings("model/weights make\nmodel/gone make\n")[0])

    def test_files_that_nothing_builds_are_dead(self):
        tree = tree_of(
            base__BUILD='cc_library(name = "a", hdrs = ["a.h"], srcs = ["sub/b.cc"])\n'
                        'sh_test(name = "s", srcs = ["s_test.py"], data = ["//tools:c.cc"])\n',
            base__a_h="", base__sub__b_cc="", base__s_test_py="", tools__c_cc="",
            base__dead_cc="", base__dead_test_py="", proto__dead_proto="", tools__script_py="")
        self.assertEqual(messages(file_rules.check_dead_files, tree), [
            "base/dead.cc:0: no BUILD file names it",
            "base/dead_test.py:0: no BUILD file names it",
            "proto/dead.proto:0: no BUILD file names it",
        ])

    def test_packages_and_licences_name_the_same(self):
        tree = SourceTree({
            "deploy/install-deps.sh": b"readonly PACKAGES=(\n  g++ git\n)\n",
            "docs/licences.md": b"| `git` | 2 | GPL | what |\n| `bazel` | 4 | Apache | what |\n"})
        self.assertEqual(messages(file_rules.check_licences, tree), [
            "docs/licences.md:0: has no row for the package g++",
            "docs/licences.md:0: has a row for bazel, which deploy/install-deps.sh does not "
            "install",
        ])


class SourceTreeTest(unittest.TestCase):
    def test_has_what_git_tracks_or_would_add(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name in ("tracked.cc", "new.cc", "ignored.cc", "deleted.cc"):
                (root / name).write_text(name, encoding="utf-8")
            (root / ".gitignore").write_text("ignored.cc\n", encoding="utf-8")
            subprocess.run(["git", "-C", root, "init", "--quiet"], check=True)
            subprocess.run(["git", "-C", root, "add", "tracked.cc", "deleted.cc"], check=True)
            (root / "deleted.cc").unlink()
            tree = SourceTree.of_checkout(root)
            self.assertEqual(sorted(tree.paths()), [".gitignore", "new.cc", "tracked.cc"])
            self.assertEqual(tree.text("new.cc"), "new.cc")


if __name__ == "__main__":
    unittest.main()
