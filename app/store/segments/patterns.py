"""User patterns: RE2, which is linear in the text whatever the pattern is."""

import re
from collections.abc import Callable
from typing import Final

import re2

#: Bytes that the compiled pattern and its automata may take.
MAX_BYTES: Final = 8 << 20
#: Of a pattern's literal, letters that have a twin outside of ASCII: the Kelvin sign and the long s.
_TWINS: Final = frozenset("kKsS")
_SPECIAL: Final = frozenset("^$.?*+()")
_OPTIONAL: Final = ("?", "*")
#: A class of characters that holds neither brackets nor escapes.
_CLASS: Final = re.compile(r"\[\^?[^][()\\]+\]")
#: Stands for a dot that is meant; no pattern has it.
_DOT: Final = "\0"


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MAX_BYTES
    return options


def matcher(pattern: str) -> Callable[[str], bool]:
    """The test whether the pattern is found anywhere in a text, without regard to case. Raises ValueError."""
    try:
        search = re2.compile(pattern, _options()).search
    except re2.error:
        raise ValueError("no regular expression that RE2 takes") from None
    return lambda text: search(text) is not None


def is_pattern(pattern: str) -> bool:
    """Whether RE2 takes the pattern."""
    try:
        matcher(pattern)
    except ValueError:
        return False
    return True


def literal(pattern: str) -> str:
    """A text without regard to case that every match contains, as far as that is easy to see; `_` is any letter.

    Only ASCII, since databases fold nothing else alike. "" when nothing is certain.
    """
    simple = _CLASS.sub(".", pattern.replace("\\.", _DOT))
    if any(letter in simple for letter in "|[]{}\\") or "(?" in simple:
        return ""
    runs, run, depth = [], "", 0
    for position, letter in enumerate(simple):
        depth += (letter == "(") - (letter == ")")
        following = simple[position + 1 : position + 2]
        if (
            depth == 0
            and following not in _OPTIONAL
            and (letter == _DOT or (letter.isascii() and letter not in _SPECIAL))
        ):
            run += "." if letter == _DOT else "_" if letter in _TWINS else letter.lower()
            if following != "+":
                continue
        runs.append(run)
        run = ""
    runs.append(run)
    return max(runs, key=len)
