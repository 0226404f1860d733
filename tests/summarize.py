#!/usr/bin/python3 -B
"""Says how each test case of one `bazel test` ended: summarize.py EVENTS ALLOWED_SKIPS.

Reads Bazel's build events (--build_event_json_file) and the test.xml files that they name. A test
case is a gtest case, or a whole target that is not a gtest. What did not build, crashed or timed
out is a failed case too, so that nothing which went wrong is missing from the counts.
"""

import collections
import dataclasses
import fnmatch
import json
import sys
import urllib.parse
import xml.etree.ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str  # Suite.Test, or the label of the target.
    label: str
    outcome: str
    reason: str = ""


def cases_of_xml(path, label):
    """The cases of one test.xml (one shard of one target)."""
    cases = []
    for node in xml.etree.ElementTree.parse(path).iter("testcase"):
        is_gtest = "classname" in node.attrib
        name = f"{node.get('classname')}.{node.get('name')}" if is_gtest else label
        failures = [child for child in node if child.tag in ("failure", "error")]
        skip = node.find("skipped")
        if failures:
            reason = "\n".join(child.get("message", "") for child in failures)
            cases.append(Case(name, label, FAILED, reason))
        elif skip is not None:
            cases.append(Case(name, label, SKIPPED, skip.get("message", "")))
        elif node.get("status") == "notrun":
            cases.append(Case(name, label, SKIPPED, "disabled in its source"))
        else:
            cases.append(Case(name, label, PASSED))
    return cases


def cases_of_result(label, result):
    """The cases of one testResult event. At least one has failed unless its status is PASSED."""
    outputs = {output["name"]: output["uri"] for output in result.get("testActionOutput", [])}
    cases = []
    if "test.xml" in outputs:
        path = urllib.parse.unquote(urllib.parse.urlparse(outputs["test.xml"]).path)
        try:
            cases = cases_of_xml(path, label)
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            cases = [Case(label, label, FAILED, f"its test.xml cannot be read: {error}")]
    status = result.get("status", "NO_STATUS")
    if status == "TIMEOUT":  # What a stopped test wrote says nothing of the cases it did not reach.
        cases = []
    if status != "PASSED" and all(case.outcome != FAILED for case in cases):
        cases.append(Case(label, label, FAILED, f"{status}; see {outputs.get('test.log')}"))
    return cases


def parse_events(lines):
    """Bazel's events. The last line is cut short where Bazel was killed."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def cases_of_events(events):
    """The cases of a whole run, in the order of their labels."""
    cases = collections.defaultdict(list)  # By label.
    tests = set()  # The labels of those that are tests, built or not.
    exit_name = "NOT_FINISHED"
    explained = {"SUCCESS", "TESTS_FAILED"}  # The exits whose cause is among the cases.
    for event in events:
        kind, identity = next(iter(event["id"].items()))
        label = identity.get("label", "")
        if "configured" in event and "testSize" in event["configured"]:
            tests.add(label)
        elif "testResult" in event:
            cases[label] += cases_of_result(label, event["testResult"])
        elif "testSummary" in event and not cases[label]:
            cases[label].append(Case(label, label, FAILED, "it ran no test case"))
        elif kind == "targetCompleted" and event.get("aborted", {}).get("reason") == "SKIPPED":
            if label in tests:
                reason = "this build leaves it out: its target_compatible_with says why"
                cases[label].append(Case(label, label, SKIPPED, reason))
        elif kind == "targetCompleted" and not event.get("completed", {}).get("success"):
            cases[label].append(Case(label, label, FAILED, "it did not build"))
            explained.add("BUILD_FAILURE")
        elif "finished" in event:
            exit_name = event["finished"]["exitCode"]["name"]
    if exit_name not in explained:
        cases["//..."].append(Case("bazel", "//...", FAILED, f"{exit_name}; see its errors above"))
    return [case for label in sorted(cases) for case in cases[label]]


def parse_allowed_skips(text):
    """[(pattern of the name, words of the reason)] of tests/allowed_skips.txt."""
    rows = [line.split(None, 1) for line in text.splitlines()]
    rows = [row for row in rows if row and not row[0].startswith("#")]
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"allowed_skips: {row[0]} has no reason")
    return [(pattern, words.strip()) for pattern, words in rows]


def refuse_skips(cases, allowed):
    """`cases` with each skip that is not in `allowed` turned into a failure."""

    def is_allowed(case):
        return any(
            fnmatch.fnmatchcase(case.name, pattern) and words in case.reason
            for pattern, words in allowed
        )

    return [
        dataclasses.replace(case, outcome=FAILED, reason=f"skip not allowed: {case.reason}")
        if case.outcome == SKIPPED and not is_allowed(case)
        else case
        for case in cases
    ]


def report(cases):
    """The lines to print. The last has the counts."""
    lines = []
    for outcome in (SKIPPED, FAILED):
        for case in cases:
            if case.outcome == outcome:
                where = "" if case.name == case.label else f" ({case.label})"
                reason = case.reason.replace("\n", "\n    ")
                lines.append(f"{outcome}: {case.name}{where}: {reason}")
    counts = collections.Counter(case.outcome for case in cases)
    lines.append(
        f"{counts[PASSED]} passed, {counts[FAILED]} failed, {counts[SKIPPED]} skipped"
    )
    return lines


def main(arguments):
    events_path, allowed_skips_path = arguments
    with open(allowed_skips_path, encoding="utf-8") as file:
        allowed = parse_allowed_skips(file.read())
    try:
        with open(events_path, encoding="utf-8") as file:
            cases = cases_of_events(parse_events(file))
    except FileNotFoundError:  # Bazel did not get as far as its first event.
        cases = cases_of_events([])
    cases = refuse_skips(cases, allowed)
    print("\n".join(report(cases)))
    return 1 if any(case.outcome == FAILED for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
