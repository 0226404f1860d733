"""Finds the functions of a C++ file by matching braces: approximate, but it needs no compiler."""

import re

_TOKENS = re.compile(
    r"""
    (?P<keep>\b\d(?:'?[\w.])*)                       # A number may hold quotes: 1'000.
  | (?P<blank>//[^\n]*
  | /\*.*?\*/
  | R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"
  | "(?:\\.|[^"\\\n])*"
  | '(?:\\.|[^'\\\n])+'
  | ^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)                   # A directive, with the lines it goes on.
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_LABEL = re.compile(r"\s*(public|private|protected)\s*:(?!:)")
_SCOPE = re.compile(r"(inline\s+)?namespace\b|(class|struct|union|enum)\b|extern\s*$")
_ASSIGNMENT = re.compile(r"(?<![=!<>+\-*/|&^%])=(?!=)")
_OPERATOR = re.compile(r"\boperator\s*[^\s\w(]+")
_CONSTRUCTOR_LIST = re.compile(r"\(\)\s*(noexcept\s*(\(\))?)?\s*:(?!:)")


def find_functions(text):
    """[(first line, last line)] of the function definitions in `text`, counted from 1.

    A function inside another (a lambda, a local class) belongs to the outer one.
    Raises ValueError when the braces do not match.
    """
    code = _blank_text(text)
    functions = []
    head_begin = 0  # Where the declaration at hand begins.
    scopes = 0      # Namespaces and classes that are open.
    position = 0
    while position < len(code):
        character = code[position]
        if character == "(":
            position = _matching(code, position, "()")
        elif character == ";":
            head_begin = position + 1
        elif character == "}":
            scopes -= 1
            head_begin = position + 1
        elif character == "{":
            head_begin = _skip_labels(code, head_begin)
            kind = _kind_of_brace(code[head_begin:position])
            if kind == "scope":
                scopes += 1
                head_begin = position + 1
            else:
                position = _matching(code, position, "{}")
                if kind == "function":
                    functions.append((_line(code, head_begin), _line(code, position)))
                    head_begin = position + 1
        position += 1
    if scopes != 0:
        raise ValueError("braces do not match")
    return functions


def _blank_text(text):
    """`text` with comments, literals and preprocessor lines turned into spaces."""

    def blank(match):
        token = match.group()
        return token if match.group("keep") else re.sub(r"[^\n]", " ", token)

    return _TOKENS.sub(blank, text)


def _matching(code, begin, pair):
    """The position that closes the bracket at `begin`."""
    depth = 0
    for match in re.compile("[" + re.escape(pair) + "]").finditer(code, begin):
        depth += 1 if match.group() == pair[0] else -1
        if depth == 0:
            return match.start()
    raise ValueError(f"line {_line(code, begin)}: no {pair[1]} for this {pair[0]}")


def _kind_of_brace(head):
    """What a brace opens: "scope", "function" or "value", by the text of its declaration."""
    head = _without_template(_without_groups(head.strip()))
    if _SCOPE.match(head):
        return "scope"
    head = _OPERATOR.sub("operator", head)
    if _ASSIGNMENT.search(head) or "()" not in head:
        return "value"
    if _CONSTRUCTOR_LIST.search(head) and head[-1] not in ")}":
        return "value"  # A member's initializer.
    return "function"


def _without_groups(head):
    """`head` with every (...) made ()."""
    kept, depth = [], 0
    for character in head:
        depth += character == "("
        if depth == 0:
            kept.append(character)
        elif character == ")":
            depth -= 1
            kept.append("" if depth else "()")
    return "".join(kept)


def _without_template(head):
    while head.startswith("template"):
        depth = 0
        for match in re.finditer(r"[<>]", head):
            depth += 1 if match.group() == "<" else -1
            if depth == 0:
                head = head[match.end():].strip()
                break
        else:
            return head
    return head


def _skip_labels(code, begin):
    """Where the declaration after access labels and blank lines begins."""
    match = _LABEL.match(code, begin)
    while match:
        begin = match.end()
        match = _LABEL.match(code, begin)
    return begin + len(code[begin:]) - len(code[begin:].lstrip())


def _line(code, position):
    return code.count("\n", 0, position) + 1
