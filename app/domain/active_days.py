"""On which of the last days somebody was active: a mark [last day, bits], where bit n is the day n days before that.

Nothing changes a mark in place.
"""

from typing import Final

#: Days on which one counts as monthly active: that of a session, and those that follow.
MONTH: Final = 30
#: Days of a mark. A session arrives at most 30 days late, and whether its days count already is up to the 29 before.
DAYS: Final = 62
_BITS: Final = (1 << DAYS) - 1

Mark = list[int]


def joined(one: Mark | None, other: Mark | None) -> Mark:
    """The days of both, of which one at least is there."""
    earlier, *later = sorted(mark for mark in (one, other) if mark is not None)
    if not later:
        return earlier
    last, bits = later[0]
    behind = last - earlier[0]
    return [last, (bits | earlier[1] << behind) & _BITS if behind < DAYS else bits]


def holds(mark: Mark, day: int) -> bool:
    """Whether the day is not before those of the mark."""
    return mark[0] - day < DAYS


def is_active(mark: Mark, day: int) -> bool:
    """Whether somebody was active on the day."""
    return 0 <= mark[0] - day < DAYS and bool(mark[1] >> (mark[0] - day) & 1)


def counts(mark: Mark, day: int) -> bool:
    """Whether somebody was active on the day or one of the 29 before."""
    low = mark[0] - day
    if low <= -MONTH:
        return False
    bits = mark[1] >> low if low >= 0 else mark[1] << -low
    return bits & ((1 << MONTH) - 1) != 0
