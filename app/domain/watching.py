"""Whom a webhook of a segment is told of: people who are in it, or were until now.

Who is inside is looked at after a write, so several events of somebody are decided together: the first says that they
entered, the last that they left.
"""

from collections.abc import Collection, Sequence
from typing import Final

from app.domain.times import HOUR, MINUTE
from app.domain.webhooks import ENTERED, LEFT

#: Everybody is looked at so often where time alone lets people enter and leave, and where it does not.
SWEPT_US: Final = 5 * MINUTE
RARELY_US: Final = HOUR


def decide(events: Sequence[tuple[int, int]], before: Collection[int], now: Collection[int], wanted: int) -> list[int]:
    """The types under which a webhook is told of each event, 0 = it is not.

    `events`: (number of a profile, types) in their order. `before`: those who were inside when the last one of them was
    decided, `now`: those who are inside. `wanted`: types of the webhook.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for n, (pid, _) in enumerate(events):
        first.setdefault(pid, n)
        last[pid] = n
    decided: list[int] = []
    for n, (pid, types) in enumerate(events):
        was, is_ = pid in before, pid in now
        passage = 0
        if is_ and not was and first[pid] == n:
            passage = ENTERED
        elif was and not is_ and last[pid] == n:
            passage = LEFT
        decided.append(types | passage if (was or is_) and (types | passage) & wanted else 0)
    return decided


def is_due(now_us: int, swept_us: int, *, timed: bool) -> bool:
    """Whether everybody is to be looked at again. A clock that stepped back does not stop it."""
    return not 0 <= now_us - swept_us < (SWEPT_US if timed else RARELY_US)
