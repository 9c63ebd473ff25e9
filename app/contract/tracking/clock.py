"""When the thing happened that a call tells of, by the clock of the server."""

from collections.abc import Mapping

from app.domain import times
from app.domain.times import MILLISECOND

#: Names of members, in the spelling of the API.
SENT, ORIGINAL, SAID = "sentAt", "originalTimestamp", "timestamp"


def moment(call: Mapping[str, object], sent_at: object, received_us: int) -> tuple[int, str | None]:
    """(microseconds since 1970, the member that is no time, if one is not).

    An SDK stamps a call when it is made, and once more when it is sent: the error of its clock is in both stamps, so
    the call was as long before the receipt as it was before the sending. A `timestamp` beside an `originalTimestamp` is
    what somebody has set, as for an import, and is taken as it is. `sent_at` is that of the batch. Nothing lies behind
    the receipt or before 1970.
    """
    found: dict[str, int] = {}
    for name, value in ((SAID, call.get(SAID)), (ORIGINAL, call.get(ORIGINAL)), (SENT, call.get(SENT, sent_at))):
        if value is None:
            continue
        us = _read(value)
        if us is None:
            return received_us, name
        found[name] = us
    said, original, sent = found.get(SAID), found.get(ORIGINAL), found.get(SENT)
    if said is not None and original is not None:
        us = said
    elif said is None and original is None:
        us = received_us
    else:
        made = said if said is not None else original or 0
        us = made if sent is None else received_us - (sent - made)
    return min(max(us, 0), received_us), None


def _read(value: object) -> int | None:
    """ISO 8601, or milliseconds since 1970."""
    if isinstance(value, str):
        return times.moment(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= times.END // MILLISECOND:
        return None
    return int(value * MILLISECOND)
