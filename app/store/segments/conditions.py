"""What an operator makes of a leaf, in SQL: the twin of app.domain.segments.compare."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Protocol

from sqlalchemy import BigInteger, Numeric, Select, Text, and_, false, func, literal, or_, true
from sqlalchemy import cast as sql_cast

from app.domain import times
from app.domain.segments import versions
from app.domain.segments.clock import Clock, neighbours
from app.domain.segments.compare import Comparing, folded, recurs
from app.domain.values import MISSING
from app.store.segments import moments
from app.store.segments.leaves import Expression, Leaf, any_of, found_by, given, holding, negated, than
from app.store.segments.patterns import literal as literal_of
from app.store.segments.regexes import narrowing, translated

_COLLATION: Final = "C"


class Decided(Protocol):
    """Decides about texts one by one, and makes a condition of it."""

    def __call__(
        self, texts: Select[Any], decide: Callable[[str], bool], within: Expression | None = None
    ) -> Callable[[Expression], Expression]: ...


@dataclass(frozen=True, slots=True)
class Comparer:
    """Makes conditions. `decided` gets the texts that SQL cannot decide about, which of them match, and, where the
    others may be named instead, what the texts were chosen by."""

    postgresql: bool
    how: Comparing
    decided: Decided

    @property
    def clock(self) -> Clock:
        return self.how.clock

    def condition(self, op: str, operand: Any, leaf: Leaf) -> Expression:
        """Whether the leaf matches."""
        if op in _BLANKS:
            return _BLANKS[op](leaf)
        if op in _NUMBERS:
            return self._number(op, operand, leaf)
        if op == "does_not_equal":
            return self._unequal(operand, leaf)
        if op in _TEXTS:
            return self._text(op, operand, leaf)
        if op in _ARRAYS:
            return self._array(op, operand, leaf)
        if op == "day_of_recurring_event":
            return self._recurring(operand, leaf)
        return self._time(op, operand, leaf)

    def _number(self, op: str, operand: Any, leaf: Leaf) -> Expression:
        condition = self.compared(op, operand, leaf)
        if op == "less_than" or (op == "exactly" and operand == 0):
            return or_(leaf.missing, condition)
        return condition

    def compared(self, op: str, operand: Any, leaf: Leaf) -> Expression:
        if leaf.number is None:
            return false()
        wanted = Fraction(operand) if isinstance(operand, (int, Fraction)) else Fraction(repr(operand))
        if leaf.whole:  # an integer between two others says it without a fraction
            if wanted.denominator != 1 and op == "exactly":
                return false()
            bound = math.ceil(wanted) if op in ("less_than", "at_least") else math.floor(wanted)
            return _COMPARE[op](leaf.number, self.bound(bound))
        if leaf.value is not None and not isinstance(operand, Fraction):
            return than(leaf.value, _COMPARE[op], str(Decimal(repr(operand))))
        return _COMPARE[op](leaf.number, self.bound(operand))

    def bound(self, value: int | float) -> Expression:
        fits = isinstance(value, float) or -(2**63) <= value < 2**63
        if self.postgresql and isinstance(value, int) and fits:
            return literal(value, BigInteger)
        if self.postgresql:
            return literal(Decimal(repr(value)), Numeric)
        return literal(value if fits else float(value))

    def _unequal(self, operand: Any, leaf: Leaf) -> Expression:
        if not isinstance(operand, str):
            return negated(self.compared("exactly", operand, leaf))
        if leaf.text is None:
            return true()
        wanted = folded(operand)
        lower = func.lower(self.bytewise(leaf.text))
        if wanted.isascii():
            return negated(lower == wanted)
        # Letters that are not ASCII are folded by us alone.
        shape = "".join(letter if letter.isascii() and letter not in "%_\\" else "_" for letter in wanted)
        texts = leaf.rows.texts(leaf.text, lower.like(shape))
        return negated(self.decided(texts, lambda text: folded(text) == wanted)(leaf.text))

    def bytewise(self, text: Expression) -> Expression:
        """A text whose letters are compared and folded as bytes."""
        return sql_cast(text, Text).collate(_COLLATION) if self.postgresql else text

    def _text(self, op: str, operand: Any, leaf: Leaf) -> Expression:
        if op in ("matches_regex", "does_not_match_regex"):
            return self._regex(op, str(operand), leaf)
        if op == "equals":
            return false() if leaf.text is None else leaf.text == operand
        within = op.startswith("is_")
        condition = self._any_text(operand, leaf) if within else self._contains(operand, leaf)
        return negated(condition) if "none" in op else condition

    def _any_text(self, operand: tuple[str, ...], leaf: Leaf) -> Expression:
        return false() if leaf.text is None else leaf.text.in_(operand)

    def _contains(self, operand: tuple[str, ...], leaf: Leaf) -> Expression:
        if leaf.text is None:
            return false()
        position = func.strpos if self.postgresql else func.instr
        return or_(*(position(leaf.text, part) > 0 for part in operand))

    def _regex(self, op: str, pattern: str, leaf: Leaf) -> Expression:
        wanted = op == "matches_regex"
        alone: Expression = false() if leaf.text is None else self._found(pattern, leaf)
        if not wanted:
            alone = and_(negated(alone), false() if leaf.text is None else leaf.text.is_not(None))
        same = translated(pattern) if self.postgresql else None
        if leaf.finds is not None and same is not None:
            found, some = leaf.finds(f"@ {found_by(same)}"), leaf.finds('@.type() == "string"')
        elif leaf.elements is None:
            return alone
        else:
            found = any_of(leaf.elements(), lambda element: self._found(pattern, element))
            some = any_of(
                leaf.elements(), lambda element: element.text.is_not(None) if element.text is not None else false()
            )
        return or_(alone, found if wanted else and_(some, negated(found)))

    def _found(self, pattern: str, leaf: Leaf) -> Expression:
        text = given(leaf.text)
        same = translated(pattern) if self.postgresql else None
        if same is not None:
            return self.bytewise(text).regexp_match(same)
        certain, wider = literal_of(pattern), narrowing(pattern) if self.postgresql else None
        narrowed: Expression = true()
        if wider is not None:
            narrowed = self.bytewise(text).regexp_match(wider)
        elif certain:
            shape = "%" + "".join("\\%" if letter == "%" else letter for letter in certain) + "%"
            narrowed = func.lower(self.bytewise(text)).like(shape, escape="\\")
        return self.decided(leaf.rows.texts(text, narrowed), self.how.matcher(pattern), narrowed)(text)

    def _array(self, op: str, operand: Any, leaf: Leaf) -> Expression:
        if op in ("includes_value", "does_not_include"):
            condition = self._includes(operand, leaf)
        elif op in ("includes_any_of", "includes_none_of"):
            condition = or_(*(self._includes(wanted, leaf) for wanted in operand))
        elif op in ("is_all_of", "is_not_all_of"):
            condition = and_(*(self._includes(wanted, leaf) for wanted in operand))
        elif leaf.finds is not None:
            condition = or_(*(leaf.finds(f"@ {holding(part)}") for part in operand))
        else:
            condition = self._any_element(leaf, lambda element: self._contains(operand, element))
        return negated(condition) if op in _NEGATIVE else condition

    def _includes(self, wanted: Any, leaf: Leaf) -> Expression:
        if leaf.includes is not None:
            return leaf.includes(wanted)
        if isinstance(wanted, bool):
            return self._any_element(leaf, lambda element: element.is_true if wanted else element.is_false)  # type: ignore[arg-type, return-value]
        if isinstance(wanted, str):
            return self._any_element(leaf, lambda element: element.text == wanted)  # type: ignore[arg-type, return-value]
        return self._any_element(leaf, lambda element: self.compared("exactly", wanted, element))

    def _any_element(self, leaf: Leaf, condition: Callable[[Leaf], Expression]) -> Expression:
        return false() if leaf.elements is None else any_of(leaf.elements(), condition)

    def version(self, op: str, operand: str, leaf: Leaf) -> Expression:
        """Whether a version matches: there are few different ones, which we compare."""
        text = given(leaf.text)
        matching = self.decided(leaf.rows.texts(text, true()), lambda one: versions.holds(op, operand, one))(text)
        return or_(leaf.missing, matching) if versions.holds(op, operand, MISSING) else matching

    def _recurring(self, operand: Any, leaf: Leaf) -> Expression:
        days = self.clock.recurring(operand)
        if leaf.iso is None:  # a day of birth
            return func.substr(given(leaf.text), 6).in_(sorted(days))
        near: Expression = func.substr(leaf.iso, 6, 5).in_(sorted(neighbours(days)))
        text = leaf.iso
        if self.how.texts_are_times:
            text = moments.text_of(leaf)
            near = moments.may_recur(text, sorted(neighbours(days)))

        def falls(one: str) -> bool:
            us = times.parse(one)
            return us is not None and recurs(self.clock, us, operand)

        return self.decided(leaf.rows.texts(text, near), falls)(text)

    def _time(self, op: str, operand: Any, leaf: Leaf) -> Expression:
        first, last = self.clock.interval(op, operand)
        if first > last:
            return false()
        if leaf.us is not None:
            return leaf.us.between(first, last)
        if leaf.iso is None:  # a day of birth
            behind, until = self.clock.days(op, operand)
            day = self.bytewise(given(leaf.text))
            return and_(day > behind, day <= until)
        if self.how.texts_are_times:
            return self._sent(moments.text_of(leaf), first, last, leaf)
        # Whole milliseconds, all of the same length, so that texts compare as the times do.
        start = times.iso(-(-first // times.MILLISECOND) * times.MILLISECOND)
        text = self.bytewise(leaf.iso)
        return and_(text >= start, text <= times.iso(last))

    def _sent(self, text: Expression, first: int, last: int, leaf: Leaf) -> Expression:
        """Whether a time lies between two that is kept as it was sent: most are compared as they are, others by us."""
        text = self.bytewise(text)
        usual = moments.is_usual(text, postgresql=self.postgresql)
        others = leaf.rows.texts(text, and_(negated(usual), moments.may_lie(text, first, last)))

        def lies(one: str) -> bool:
            us = times.parse(one)
            return us is not None and first <= us <= last

        return or_(and_(usual, moments.lies(text, first, last)), self.decided(others, lies)(text))


_COMPARE: Final[dict[str, Callable[[Expression, Expression], Expression]]] = {
    "exactly": lambda number, bound: number == bound,
    "more_than": lambda number, bound: number > bound,
    "at_least": lambda number, bound: number >= bound,
    "less_than": lambda number, bound: number < bound,
}
_NUMBERS: Final = frozenset(_COMPARE)
_TEXTS: Final = frozenset(
    (
        *("equals", "matches_regex", "does_not_match_regex", "is_any_of", "is_none_of"),
        *("contains_any_of", "contains_none_of"),
    )
)
_ARRAYS: Final = frozenset(
    (
        *("includes_value", "does_not_include", "includes_any_of", "includes_none_of", "values_contain_any"),
        *("values_contain_none", "is_all_of", "is_not_all_of"),
    )
)
_NEGATIVE: Final = frozenset(("does_not_include", "includes_none_of", "values_contain_none", "is_not_all_of"))


def _blank(leaf: Leaf) -> Expression:
    return leaf.missing if leaf.text is None else or_(leaf.missing, func.coalesce(leaf.text == "", false()))


def _empty(leaf: Leaf) -> Expression:
    if leaf.elements is None or leaf.is_array is None:
        return leaf.missing
    return or_(leaf.missing, and_(leaf.is_array, ~any_of(leaf.elements(), lambda _: true())))


def _either(one: Expression | None) -> Expression:
    return false() if one is None else one


_BLANKS: Final[dict[str, Callable[[Leaf], Expression]]] = {
    "is_blank": _blank,
    "is_not_blank": lambda leaf: negated(_blank(leaf)),
    "is_empty": _empty,
    "has_a_value": lambda leaf: negated(_empty(leaf)),
    "is_true": lambda leaf: _either(leaf.is_true),
    "is_false": lambda leaf: _either(leaf.is_false),
    "is_true_or_not_set": lambda leaf: or_(leaf.missing, _either(leaf.is_true)),
    "is_false_or_not_set": lambda leaf: or_(leaf.missing, _either(leaf.is_false)),
}
