#!/usr/bin/python3 -B
"""Tests summarize.py on build events and test.xml files as Bazel and gtest write them."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import summarize

GTEST_XML = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" disabled="1" errors="0" name="AllTests">
  <testsuite name="A" tests="4" failures="1" disabled="1" skipped="1" errors="0">
    <testcase name="Passes" status="run" result="completed" classname="A" />
    <testcase name="Fails" status="run" result="completed" classname="A">
      <failure message="a.cc:3&#x0A;1 is not 2" type=""><![CDATA[a.cc:3]]></failure>
    </testcase>
    <testcase name="Skips" status="run" result="skipped" classname="A">
      <skipped message="a.cc:4&#x0A;ALCHEMIST_DATA is not set"><![CDATA[a.cc:4]]></skipped>
    </testcase>
    <testcase name="DISABLED_One" status="notrun" result="suppressed" classname="A" />
  </testsuite>
</testsuites>
"""
PASSING_XML = '<testsuites><testcase name="One" status="run" classname="A"/></testsuites>'
EMPTY_XML = '<testsuites tests="0" name="AllTests"></testsuites>'
SCRIPT_XML = '<testsuites><testcase name="tools/a_test" status="run"/></testsuites>'
FAILED_SCRIPT_XML = (
    '<testsuites><testcase name="tools/a_test" status="run">'
    '<error message="exited with error code 3"></error></testcase></testsuites>'
)


class SummarizeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.allowed_skips = ""

    def result_event(self, label, xml, status="PASSED"):
        path = self.folder / f"test {len(list(self.folder.iterdir()))}.xml"
        path.write_text(xml, encoding="utf-8")
        output = {"name": "test.xml", "uri": path.as_uri()}
        return {
            "id": {"testResult": {"label": label, "run": 1, "shard": 1, "attempt": 1}},
            "testResult": {"testActionOutput": [output], "status": status},
        }

    def summary_event(self, label):
        return {"id": {"testSummary": {"label": label}}, "testSummary": {}}

    def finished_event(self, name):
        return {"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": name}}}

    def unbuilt_event(self, label):
        return {"id": {"targetCompleted": {"label": label}}, "completed": {}}

    def left_out_events(self, label, size):
        """Of a target that is not compatible with the build; of a test when it has a `size`."""
        configured = {"targetKind": "some rule", **({"testSize": size} if size else {})}
        return [
            {"id": {"targetConfigured": {"label": label}}, "configured": configured},
            {"id": {"targetCompleted": {"label": label}}, "aborted": {"reason": "SKIPPED"}},
        ]

    def run_main(self, events, cut_bytes=0):
        """summarize's (exit status, lines) for `events`, whose file lacks its last `cut_bytes`."""
        text = "".join(json.dumps(event) + "\n" for event in events)
        events_path = self.folder / "events"
        events_path.write_text(text[: len(text) - cut_bytes], encoding="utf-8")
        skips_path = self.folder / "skips"
        skips_path.write_text(self.allowed_skips, encoding="utf-8")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = summarize.main([events_path, skips_path])
        return status, output.getvalue().splitlines()

    def test_a_test_that_the_build_leaves_out_is_skipped_and_a_library_is_nothing(self):
        self.allowed_skips = "//x:gpu_test leaves it out\n"
        status, lines = self.run_main([
            *self.left_out_events("//x:gpu_test", "SMALL"),
            *self.left_out_events("//x:gpu", None),
            self.result_event("//x:a_test", PASSING_XML),
            self.finished_event("SUCCESS"),
        ])
        self.assertEqual(status, 0)
        self.assertEqual(lines[-1], "1 passed, 0 failed, 1 skipped")

    def test_counts_gtest_cases_and_prints_each_skip_and_failure_with_its_reason(self):
        self.allowed_skips = "A.Skips ALCHEMIST_DATA is not set\nA.DISABLED_* disabled\n"
        status, lines = self.run_main([
            self.result_event("//x:a_test", GTEST_XML, "FAILED"),
            self.finished_event("TESTS_FAILED"),
        ])
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "1 passed, 1 failed, 2 skipped")
        self.assertIn("skipped: A.Skips (//x:a_test): a.cc:4", lines)
        self.assertIn("    ALCHEMIST_DATA is not set", lines)
        self.assertIn("failed: A.Fails (//x:a_test): a.cc:3", lines)

    def test_line_has_no_skips_when_there_are_none(self):
        status, lines = self.run_main([
            self.result_event("//x:a_test", PASSING_XML),
            self.result_event("//x:script_test", SCRIPT_XML),
            self.finished_event("SUCCESS"),
        ])
        self.assertEqual((status, lines), (0, ["2 passed, 0 failed, 0 skipped"]))

    def test_skip_that_is_not_listed_or_has_another_reason_fails(self):
        for self.allowed_skips in ("", "A.Skips needs a GPU\nA.DISABLED_* disabled\n"):
            status, lines = self.run_main([
                self.result_event("//x:a_test", GTEST_XML.replace("failure", "system-out")),
                self.finished_event("SUCCESS"),
            ])
            self.assertEqual(status, 1)
            self.assertIn("failed: A.Skips (//x:a_test): skip not allowed: a.cc:4", lines)

    def test_listed_skip_without_a_reason_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "A.Skips has no reason"):
            summarize.parse_allowed_skips("# comment\n\nA.Skips\n")

    def test_target_that_did_not_build_is_one_failure(self):
        status, lines = self.run_main([
            self.unbuilt_event("//x:a_test"),
            self.finished_event("BUILD_FAILURE"),
        ])
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_script_that_fails_is_one_failure(self):
        status, lines = self.run_main([
            self.result_event("//tools:a_test", FAILED_SCRIPT_XML, "FAILED"),
            self.finished_event("TESTS_FAILED"),
        ])
        self.assertEqual(lines, ["failed: //tools:a_test: exited with error code 3",
                                 "0 passed, 1 failed, 0 skipped"])
        self.assertEqual(status, 1)

    def test_binary_that_fails_after_its_last_case_is_a_failure(self):
        _, lines = self.run_main([
            self.result_event("//x:a_test", PASSING_XML, "FAILED"),
            self.finished_event("TESTS_FAILED"),
        ])
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")

    def test_time_out_is_one_failure(self):
        _, lines = self.run_main([
            self.result_event("//x:a_test", SCRIPT_XML, "TIMEOUT"),
            self.finished_event("TESTS_FAILED"),
        ])
        self.assertEqual(lines[-1], "0 passed, 1 failed, 0 skipped")
        self.assertIn("TIMEOUT", lines[0])

    def test_binary_without_a_case_is_a_failure_but_an_empty_shard_is_not(self):
        _, lines = self.run_main([
            self.result_event("//x:empty_test", EMPTY_XML),
            self.summary_event("//x:empty_test"),
            self.result_event("//x:sharded_test", EMPTY_XML),
            self.result_event("//x:sharded_test", PASSING_XML),
            self.summary_event("//x:sharded_test"),
            self.finished_event("SUCCESS"),
        ])
        self.assertEqual(lines, ["failed: //x:empty_test: it ran no test case",
                                 "1 passed, 1 failed, 0 skipped"])

    def test_unreadable_xml_is_a_failure(self):
        _, lines = self.run_main([
            self.result_event("//x:a_test", "<testsuites>"),
            self.finished_event("SUCCESS"),
        ])
        self.assertEqual(lines[-1], "0 passed, 1 failed, 0 skipped")

    def test_any_other_end_of_bazel_is_a_failure(self):
        for name in ("BUILD_FAILURE", "NO_TESTS_FOUND", "INTERRUPTED"):
            status, lines = self.run_main([
                self.result_event("//x:a_test", PASSING_XML),
                self.finished_event(name),
            ])
            self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))
            self.assertIn(name, lines[0])

    def test_bazel_that_was_killed_is_a_failure(self):
        events = [self.result_event("//x:a_test", PASSING_XML), self.finished_event("SUCCESS")]
        _, lines = self.run_main(events, cut_bytes=10)
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")
        _, lines = self.run_main([])
        self.assertEqual(lines[-1], "0 passed, 1 failed, 0 skipped")


if __name__ == "__main__":
    unittest.main()
