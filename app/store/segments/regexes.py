r"""User patterns as regular expressions of PostgreSQL, as far as both find the same.

RE2 decides what a pattern means. Only what is the same in both is translated: ASCII letters, classes, groups,
alternatives, repetitions, and the ends of the text. RE2 is asked for which letters a class stands, without regard
to case; so the result depends on no collation. Where the two might differ, there is no translation, and RE2 decides on
the texts themselves (app.store.segments.conditions).
"""

import re
from functools import lru_cache
from typing import Final

from app.store.segments.patterns import matcher

#: What an ASCII letter may stand for without regard to case: the Kelvin sign and the long s are k and s.
_LETTERS: Final = (*map(chr, range(1, 128)), "\u017f", "\u212a")
#: One letter or class. Brackets hold neither brackets nor classes of other letters than ASCII.
_ATOM: Final = re.compile(
    r"\.|\\[dDwWsS]|\\[!-/:-@\[-`{-~]|\[\^?(?:[^\[\]\\^]|\\[dws]|\\[!-/:-@\[-`{-~])+\]|[^\\\[\](){}.*+?|^$]"
)
_REPETITION: Final = re.compile(r"(?:[*+?]|\{(\d{1,3})(?:(,)(\d{0,3}))?\})\??")
_GROUP: Final = re.compile(r"\((?:\?:|\?P?<[A-Za-z]\w*>)?(?!\?)")
#: Letters and classes of a pattern, each as often as it is repeated.
_MOST: Final = 100


class _UntranslatableError(Exception):
    """Something that may differ."""


@lru_cache(maxsize=1_000)
def translated(pattern: str) -> str | None:
    """What finds the same for PostgreSQL's `~`; None where that is not certain."""
    parser = _Parser(pattern.removeprefix("(?i)"))
    try:
        return "***:" + parser.whole()
    except _UntranslatableError:
        return None


@lru_cache(maxsize=1_000)
def narrowing(pattern: str) -> str | None:
    """What finds all that the pattern finds, and maybe more: the pattern without its `\\b`, which in RE2 mean word
    boundaries of ASCII alone. None where that is not certain either."""
    parser = _Parser(pattern.removeprefix("(?i)"), without_boundaries=True)
    try:
        return "***:" + parser.whole()
    except _UntranslatableError:
        return None


class _Parser:
    def __init__(self, pattern: str, *, without_boundaries: bool = False) -> None:
        self._pattern, self._at = pattern, 0
        self._without_boundaries = without_boundaries

    def whole(self) -> str:
        if not self._pattern.isascii():
            raise _UntranslatableError
        found, _, _ = self._alternatives()
        if self._at != len(self._pattern):
            raise _UntranslatableError
        return found

    def _alternatives(self) -> tuple[str, int, bool]:
        """(translation, its letters and classes, whether an end of the text is in it)"""
        branches, size, anchored = [], 0, False
        while True:
            branch, more, ends = self._branch()
            branches.append(branch)
            size, anchored = size + more, anchored or ends
            if self._next() != "|":
                return "|".join(branches), size, anchored
            self._at += 1

    def _branch(self) -> tuple[str, int, bool]:
        found, size, anchored = "", 0, False
        while (letter := self._next()) not in ("", "|", ")"):
            ends = False
            if self._without_boundaries and self._pattern.startswith("\\b", self._at):
                self._at += 2
                if _REPETITION.match(self._pattern, self._at):
                    raise _UntranslatableError
                continue
            if letter in "^$":
                self._at += 1
                one, many, ends, repeated = letter, 0, True, ""
                if _REPETITION.match(self._pattern, self._at):
                    raise _UntranslatableError
            else:
                one, many, ends = self._group() if letter == "(" else self._atom()
                repeated, times = self._repetition()
                many *= times
                if repeated and ends:
                    raise _UntranslatableError
            found += one + repeated
            size, anchored = size + many, anchored or ends
            if size > _MOST:
                raise _UntranslatableError
        if not found:  # nothing at all is found everywhere, and PostgreSQL does not take it everywhere
            raise _UntranslatableError
        return found, size, anchored

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _group(self) -> tuple[str, int, bool]:
        self._take(_GROUP)
        inner, size, anchored = self._alternatives()
        if self._next() != ")":
            raise _UntranslatableError
        self._at += 1
        return f"(?:{inner})", size, anchored

    def _atom(self) -> tuple[str, int, bool]:
        return _letters(self._take(_ATOM)[0]), 1, False

    def _repetition(self) -> tuple[str, int]:
        """(translation, how often at least one repeats what is before it)"""
        match = _REPETITION.match(self._pattern, self._at)
        if match is None:
            if self._next() == "{":
                raise _UntranslatableError
            return "", 1
        self._at = match.end()
        if _REPETITION.match(self._pattern, self._at):
            raise _UntranslatableError
        text = match[0]
        # Greedy or not, it is found or not.
        text = text[:-1] if len(text) > 1 and text.endswith("?") else text
        return text, max(1, int(match[3] or 0), int(match[1] or 0))

    def _take(self, wanted: re.Pattern[str]) -> re.Match[str]:
        match = wanted.match(self._pattern, self._at)
        if match is None:
            raise _UntranslatableError
        self._at = match.end()
        return match


@lru_cache(maxsize=1_000)
def _letters(atom: str) -> str:
    """A class of PostgreSQL with the letters for which RE2 takes a letter or class."""
    try:
        found = matcher(f"^{atom}$")
    except ValueError:
        raise _UntranslatableError from None
    negative = found("\u00e9")  # stands for all letters that are no member of _LETTERS
    listed = [letter for letter in _LETTERS if found(letter) is not negative]
    if not listed:
        raise _UntranslatableError
    ranges: list[list[int]] = []
    for code in map(ord, listed):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    shown = "".join(f"\\u{first:04x}" if first == last else f"\\u{first:04x}-\\u{last:04x}" for first, last in ranges)
    return f"[{'^' if negative else ''}{shown}]"
