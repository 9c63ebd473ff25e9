"""What becomes of every field of two profiles when one is merged into the other (spec merge.md 3).

A rule joins the kept and the merged value, None being "no value", and separates them again when the merge is undone.
`RULES` has one for every field of Profile; a test walks the fields and fails for one without.

More than 300 lines: the rules and the table that uses them are read together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from typing import Any, Protocol

from app.domain import money
from app.domain.active_days import joined
from app.domain.numbers import clamped, greatest, least
from app.domain.profile import SUBSCRIPTION_STATES, TEST_USER, Profile

#: Where a value lies: name of the field, then the keys inside it: ("first_name",), ("devices", "apps", "Shop").
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two profiles, and what decides for fields that go together."""

    kept: Profile
    merged: Profile
    #: The kept profile has no e-mail address and gets the merged one's.
    takes_email: bool
    #: Both have one address.
    same_email: bool
    #: The kept profile has no number, readable or not, and gets the merged one's.
    takes_phone: bool


@dataclass(frozen=True, slots=True)
class Undone:
    """One value of a merge that is undone."""

    #: The kept profile's before the merge, the merged one's, and what came of them.
    before: Any
    merged: Any
    result: Any
    #: The kept profile's present value.
    now: Any
    #: Whether the kept profile was written to since. A write that repeated the result left no trace in the value.
    written: bool


class Leaf:
    """A rule for one value. Stateless; `always` says that it holds under the policy `none` as well."""

    #: Whether a merged value that is not the result counts as lost.
    loses = False

    def __init__(self, *, always: bool = False) -> None:
        self.always = always

    def leaves(self, path: Path, kept: Any, merged: Any) -> Iterator[tuple[Path, "Leaf", Any, Any]]:
        yield path, self, kept, merged

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        """The value after the merge. Never one of the arguments changed in place."""
        raise NotImplementedError

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        """What the kept profile has after an undo, and whether that is certain."""
        return _given_back(undone.before, undone.result, undone.now, written=undone.written)


class Rule(Protocol):
    """A leaf, or something that is made of leaves."""

    def leaves(self, path: Path, kept: Any, merged: Any) -> Iterator[tuple[Path, Leaf, Any, Any]]:
        """(path, rule, kept value, merged value) of everything that the merged value has."""


class Keep(Leaf):
    """The kept profile's, whatever the other one has."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del merged, pair
        return kept


class Fill(Leaf):
    """The kept profile's, or the merged one's where it has none. An empty string is a value."""

    loses = True

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return merged if kept is None else kept


class Belongs(Fill):
    """A device or a push token: one profile has it. An undo gives it back as it was, whatever was written to it."""

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        return undone.before, undone.now is None or same(undone.now, undone.result)


class WithEmail(Fill):
    """Goes with the e-mail address. A merge never turns tracking on again."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        if pair.takes_email:
            return merged if merged is not None and kept is not True else kept
        return merged if kept is None and pair.same_email else kept


class WithPhone(Fill):
    """The number as sent and as read are one value."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        return merged if pair.takes_phone else kept


class OwnConsent(Leaf):
    """[state, changed_us] of a profile without e-mail address: the more restrictive one; an address ends it.

    What the address gets from it is for app.domain.merging.merge to say.
    """

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        if (pair.kept.core or {}).get("email") is not None:
            return kept
        return None if pair.takes_email else stricter(kept, merged)


class EmailGroups(Leaf):
    """{group id: [state, changed_us]} of a profile without e-mail address: as OwnConsent, group by group."""

    field = "email"

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        if (pair.kept.core or {}).get(self.field) is not None:
            return kept
        takes = pair.takes_email if self.field == "email" else pair.takes_phone
        if takes and (pair.merged.core or {}).get(self.field) is not None:
            return None
        return stricter_groups(kept or {}, merged or {}) or None


class PhoneGroups(EmailGroups):
    """The same of a profile without a readable phone number."""

    field = "phone"


class Total(Leaf):
    """The sum. None is nothing."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return clamped(kept + merged)

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        came = undone.result - undone.before  # less than `merged` where the sum would have been too large
        return clamped(undone.now - came), came == undone.merged or not undone.written


class Count(Total):
    """A sum that is absent while it is nothing."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        return super().join(kept or 0, merged or 0, pair) or None

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        given = Undone(undone.before or 0, undone.merged, undone.result or 0, undone.now or 0, undone.written)
        value, exact = super().separate(given)
        return value or None, exact


class Sums(Leaf):
    """A list of sums, each by itself. Absent is all zeros."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        ours = kept or [0] * len(merged)
        return [clamped(one + other) for one, other in zip(ours, merged, strict=True)]

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        if undone.now is None:  # too old by now, and dropped
            return None, True
        came = [result - before for result, before in zip(undone.result, undone.before or repeat(0), strict=False)]
        left = [now - one for now, one in zip(undone.now, came, strict=True)]
        return left if any(left) else None, came == undone.merged or not undone.written


class DecimalTotal(Leaf):
    """The sum of two amounts as decimal text."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return money.text(Decimal(kept or 0) + Decimal(merged or 0))

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        left = Decimal(undone.now or 0) - (Decimal(undone.result or 0) - Decimal(undone.before or 0))
        return (money.text(left) if left else None), True


class Cart(Leaf):
    """Of two carts with one id the one that was updated last."""

    loses = True

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return merged if kept is None or merged["updated"] > kept["updated"] else kept


class Merges(Leaf):
    """How many profiles are inside: the merged one and those inside it come on top."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return (kept or 0) + (merged or 0) + 1

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        return undone.now - undone.result + (undone.before or 0) or None, True


class Least(Leaf):
    """The earlier one of two moments."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return least(kept, merged)


class Greatest(Leaf):
    """The later one of two moments."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return greatest(kept, merged)


class Flags(Leaf):
    """A test user stays one; the other flags stop a merge before it comes to this."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return kept | (merged & TEST_USER)

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        return undone.now & ~(undone.result & ~undone.before), True


class Former(Leaf):
    """External ids that still lead to the profile: one after another, each once."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return list(dict.fromkeys([*(kept or ()), *(merged or ())])) or None

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        came = set(undone.result) - set(undone.before or ())
        return [value for value in undone.now or () if value not in came] or None, True


class Summary(Leaf):
    """[count, first_us, last_us] of an event or a product: sum, minimum, maximum."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        if kept is None:
            return list(merged)
        return [kept[0] + merged[0], min(kept[1], merged[1]), max(kept[2], merged[2])]

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        before, result, now = undone.before, undone.result, undone.now
        if now is None or now[0] < undone.merged[0]:
            return now, False
        count = now[0] - undone.merged[0]
        if count == 0:
            return None, True
        if before is None:
            # All of the rest was written since, but moments between the merged ones left no trace.
            return [count, now[1], now[2]], now[1] < result[1] and now[2] > result[2]
        written = now[0] != result[0]
        first, first_exact = _given_back(before[1], result[1], now[1], written=written)
        last, last_exact = _given_back(before[2], result[2], now[2], written=written)
        return [count, first, last], first_exact and last_exact


class App(Leaf):
    """Use of one app: sessions add up, first and last use widen, the rest is from whoever used it last."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        if kept is None:
            return dict(merged)
        later = (merged.get("last_used") or 0) > (kept.get("last_used") or 0)
        result = {**kept, **merged} if later else {**merged, **kept}
        result["sessions"] = (kept.get("sessions") or 0) + (merged.get("sessions") or 0)
        for name, choose in (("first_used", least), ("last_used", greatest)):
            moment = choose(kept.get(name), merged.get(name))
            if moment is not None:
                result[name] = moment
        return result

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        before, result, now = undone.before or {}, undone.result, undone.now
        if now is None or same(now, result):
            return undone.before if now else now, True
        repeated = {name: value for name, value in before.items() if same(now.get(name), result.get(name))}
        sessions = (now.get("sessions") or 0) - (undone.merged.get("sessions") or 0)
        return {**now, **repeated, "sessions": max(0, sessions)}, False


class Active(Leaf):
    """The days of both. Whatever comes later is added, so an undo leaves none out that may have been."""

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return joined(kept, merged)

    def separate(self, undone: Undone) -> tuple[Any, bool]:
        return (undone.before if same(undone.now, undone.result) else undone.now), True


@dataclass(frozen=True, slots=True)
class ByKey:
    """A dict whose members follow one rule, each by itself: a union."""

    rule: Rule

    def leaves(self, path: Path, kept: Any, merged: Any) -> Iterator[tuple[Path, Leaf, Any, Any]]:
        for key, value in (merged or {}).items():
            yield from self.rule.leaves((*path, key), (kept or {}).get(key), value)


@dataclass(frozen=True, slots=True)
class Members:
    """A dict whose members have rules of their own."""

    rules: dict[str, Rule]

    def leaves(self, path: Path, kept: Any, merged: Any) -> Iterator[tuple[Path, Leaf, Any, Any]]:
        for key, rule in self.rules.items():
            if (merged or {}).get(key) is not None:
                yield from rule.leaves((*path, key), (kept or {}).get(key), merged[key])


def _given_back(before: Any, result: Any, now: Any, *, written: bool) -> tuple[Any, bool]:
    """The value before the merge, if the merge changed it and nobody changed it since."""
    if same(before, result):
        return now, True
    return (before, not written) if same(now, result) else (now, True)


def same(one: Any, other: Any) -> bool:
    """Equal, and of one type: 1, 1.0 and true are three values."""
    return type(one) is type(other) and bool(one == other)


def stricter(one: Any, other: Any) -> Any:
    """Of two recorded states [state, changed_us] the more restrictive one, the first when they are equal."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other, key=lambda recorded: SUBSCRIPTION_STATES.index(recorded[0]))


def stricter_groups(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Recorded states by group, as `stricter` for each: none is no state."""
    return {group: stricter(ours.get(group), theirs.get(group)) for group in sorted({*ours, *theirs})}
