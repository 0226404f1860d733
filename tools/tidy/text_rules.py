"""What may not stand in a source: unfinished work, sleeping tests, silenced sanitizers."""

import re

from source_tree import CC_SUFFIXES, HEADER_SUFFIXES, Finding, is_test

# The words are written in pieces: this file is held to its own rules.
_UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
_SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|SleepFor|sleep)\s*\(")
_BARE_SKIP = re.compile(r"\bGTEST_SKIP\(\)\s*;")
_SILENCED = re.compile(
    r"no_sanitize|NO_SANITIZE|__[a-z]+_default_(options|suppressions)|__[a-z]san_(ignore|disable)")
_SUPPRESSION = re.compile(r"^\s*[a-z_]+:")
# What our libraries' symbols and files begin with.
_OF_LIBRARY = re.compile(r"^\s*[a-z_]+:(lib\w|grpc::|grpc_|absl::|google::|dnnl::|sqlite3)")


def check_words(tree):
    """Words that say that something is not finished, or not tested as it should be."""
    for path in tree.sources():
        for line, text in tree.numbered_lines(path):
            if _UNFINISHED.search(text):
                yield Finding(path, line, "unfinished work is an issue, not a comment")
            if not is_test(path) or not path.endswith(CC_SUFFIXES + (".py",)):
                continue
            if _SLEEP.search(text):
                yield Finding(path, line, "a test waits for a condition, it never sleeps")
            if _BARE_SKIP.search(text):
                yield Finding(path, line, "a skip says why: GTEST_SKIP() << reason")


def check_suppressions(tree):
    """Sanitizers are silenced in tests/tsan.supp only, and there only for libraries."""
    for path in tree.paths(".supp"):
        if path != "tests/tsan.supp":
            yield Finding(path, 0, "suppressions belong in tests/tsan.supp")
        for line, text in tree.numbered_lines(path):
            if _SUPPRESSION.search(text) and not _OF_LIBRARY.search(text):
                yield Finding(path, line, "suppressions are for libraries, not for our code")
    for path in tree.paths(*CC_SUFFIXES):
        for line, text in tree.numbered_lines(path):
            if _SILENCED.search(text):
                yield Finding(path, line, "silences a sanitizer; only tests/tsan.supp may")


def check_headers(tree):
    """A header opens with what it is, and has the guard of its path."""
    for path in tree.paths(*HEADER_SUFFIXES):
        guard = "ALCHEMIST_" + re.sub(r"\W", "_", path).upper() + "_"
        text = tree.text(path)
        if not text.startswith("//"):
            yield Finding(path, 1, "a header opens with a comment: what it is, who owns it")
        directives = [line for line in text.splitlines() if line.startswith("#")]
        expected = [f"#ifndef {guard}", f"#define {guard}", f"#endif  // {guard}"]
        if directives[:2] + directives[-1:] != expected:
            yield Finding(path, 1, f"its guard is not {guard}")
