"""How long files, functions and lines may be (STYLE.md rule 5), and what there is per folder."""

import ast
import collections

from cc_functions import find_functions
from source_tree import CC_SUFFIXES, Finding, is_test

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100


def check_sizes(tree):
    """Files, functions (C++ and Python) and lines of the sources."""
    for path in tree.sources():
        lines = tree.text(path).splitlines()
        # A BUILD file is a list; it grows with its folder.
        if len(lines) > FILE_LINES_MAX and not path.endswith("BUILD"):
            yield Finding(path, 0, f"{len(lines)} lines; the limit is {FILE_LINES_MAX}")
        for number, line in enumerate(lines, start=1):
            # A path in an #include and an address cannot be broken.
            if len(line) > LINE_COLUMNS_MAX and not ("://" in line or line.startswith("#include")):
                yield Finding(path, number, f"{len(line)} columns; the limit is {LINE_COLUMNS_MAX}")
        yield from _check_functions(tree, path)


def _check_functions(tree, path):
    try:
        functions = _functions(path, tree.text(path))
    except (ValueError, SyntaxError) as error:
        yield Finding(path, 0, f"its functions cannot be found: {error}")
        return
    for first, last in functions:
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield Finding(path, first, f"a function of {last - first + 1} lines; the limit is "
                          f"{FUNCTION_LINES_MAX}")


def _functions(path, text):
    """[(first line, last line)] of the functions, in the languages that tidy can read."""
    if path.endswith(CC_SUFFIXES):
        return find_functions(text)
    if path.endswith(".py"):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return [(node.lineno, node.end_lineno) for node in ast.walk(ast.parse(text))
                if isinstance(node, kinds)]
    return []


def lines_per_folder(tree):
    """The table that tidy prints: a folder that doubles is a question to answer in the commit."""
    code, tests = collections.Counter(), collections.Counter()
    for path in tree.sources():
        folder = path.partition("/")[0] if "/" in path else "."
        (tests if is_test(path) else code)[folder] += len(tree.text(path).splitlines())
    rows = [f"{'folder':<18}{'code':>8}{'tests':>8}"]
    for folder in sorted(code.keys() | tests.keys()):
        rows.append(f"{folder:<18}{code[folder]:>8}{tests[folder]:>8}")
    return rows + [f"{'all':<18}{sum(code.values()):>8}{sum(tests.values()):>8}"]
