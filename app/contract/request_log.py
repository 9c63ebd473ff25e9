"""What the log of requests is asked for: our own endpoints GET /v1/requests and GET /v1/errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.contract import elements, named
from app.contract.cursor import Page
from app.contract.errors import RefusedError
from app.domain import times
from app.domain.profile import ALIAS, BRAZE, DEVICE, EMAIL, EXTERNAL, PHONE, Identifier

MAX_LIMIT: Final = 100
#: Characters of an identifier that is looked for.
MAX_TEXT: Final = 1_000

QUEUED: Final = "queued"
APPLIED: Final = "applied"
#: Applied, but something of it had no effect.
SKIPPED: Final = "skipped"
DEAD: Final = "dead"
REFUSED: Final = "refused"
OUTCOMES: Final = (QUEUED, APPLIED, SKIPPED, DEAD, REFUSED)

_IDENTIFIERS: Final[Mapping[str, int]] = {
    "external_id": EXTERNAL,
    "email": EMAIL,
    "phone": PHONE,
    "braze_id": BRAZE,
    "device_id": DEVICE,  # of whichever app
}
IDENTIFIER_NAMES: Final = (*_IDENTIFIERS, "alias_name", "alias_label")
_TIMES: Final = ("from", "to")
_KNOWN: Final = frozenset((*IDENTIFIER_NAMES, *_TIMES, "status", "key", "endpoint", "limit", "cursor"))

ONLY_ONE: Final = "only one of 'external_id', 'email', 'phone', 'braze_id', 'device_id' and 'alias_name' may be given"
BOTH: Final = "'alias_name' and 'alias_label' must be given together"
BAD_TEXT: Final = f"'%s' must have 1 to {MAX_TEXT} characters"
BAD_STATUS: Final = f"'status' must be one of {', '.join(OUTCOMES)}, an HTTP status such as 429, or 4xx or 5xx"
BAD_LIMIT: Final = f"'limit' must be a number between 1 and {MAX_LIMIT}"
BAD_TIME: Final = "'%s' must be a time"
ONLY_THESE: Final = f"Only these may be asked for: {', '.join(sorted(_KNOWN))}"

MOMENT_END: Final = 2**62


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests; what is left out stands for any. Times in microseconds, `to_us` exclusive."""

    #: Whom it names, as the contract compares it; as it was sent where the contract takes it for none.
    wanted: Identifier | None = None
    #: One of OUTCOMES; "" = any.
    outcome: str = ""
    #: HTTP statuses of refused ones: first and last; None = any, and accepted ones too.
    statuses: tuple[int, int] | None = None
    #: Name of the API key.
    key: str = ""
    #: Path of the endpoint of refused ones, or what operators call the kind of an accepted one.
    endpoint: str = ""
    from_us: int = 0
    to_us: int = MOMENT_END

    @property
    def question(self) -> tuple[int | str, ...]:
        """What the cursors of the list belong to."""
        statuses = self.statuses or ()
        times_ = (self.from_us, self.to_us)
        return ("requests", *(self.wanted or ()), self.outcome, *statuses, self.key, self.endpoint, *times_)


def read_query(parameters: Mapping[str, str], region: str) -> tuple[Filter, Page]:
    """The query of GET /v1/requests. `region` is that of a phone number without a `+`. Raises RefusedError(400)."""
    _check_names(parameters, _KNOWN)
    limit = parameters.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= MAX_LIMIT):
        raise RefusedError(400, BAD_LIMIT)
    return read_filter(parameters, region), Page(int(limit), parameters.get("cursor", ""))


def read_errors_query(parameters: Mapping[str, str]) -> Filter:
    """The query of GET /v1/errors. Raises RefusedError(400)."""
    _check_names(parameters, frozenset((*_TIMES, "status", "key", "endpoint")))
    return read_filter(parameters, "")


def read_filter(parameters: Mapping[str, str], region: str) -> Filter:
    """What of the query selects requests. Raises RefusedError(400)."""
    outcome, statuses = _status(parameters)
    return Filter(
        wanted=_wanted(parameters, region),
        outcome=outcome,
        statuses=statuses,
        key=_text(parameters, "key"),
        endpoint=_text(parameters, "endpoint"),
        from_us=_moment(parameters, "from", 0),
        to_us=_moment(parameters, "to", MOMENT_END),
    )


def _check_names(parameters: Mapping[str, str], known: frozenset[str]) -> None:
    if parameters.keys() - known:
        sentence = ONLY_THESE if known is _KNOWN else f"Only these may be asked for: {', '.join(sorted(known))}"
        raise elements.refused(sentence, dict(parameters), names=known)


def _wanted(parameters: Mapping[str, str], region: str) -> Identifier | None:
    given = [name for name in _IDENTIFIERS if name in parameters]
    if ("alias_name" in parameters) != ("alias_label" in parameters):
        raise RefusedError(400, BOTH)
    if len(given) + ("alias_name" in parameters) > 1:
        raise RefusedError(400, ONLY_ONE)
    if "alias_name" in parameters:
        return (ALIAS, _text(parameters, "alias_label"), _text(parameters, "alias_name"))
    return named.wanted(_IDENTIFIERS[given[0]], "", _text(parameters, given[0]), region) if given else None


def _status(parameters: Mapping[str, str]) -> tuple[str, tuple[int, int] | None]:
    sent = parameters.get("status")
    if sent is None:
        return "", None
    if sent in OUTCOMES:
        return sent, None
    if sent in ("4xx", "5xx"):
        first = int(sent[0]) * 100
        return "", (first, first + 99)
    if len(sent) == 3 and sent.isascii() and sent.isdigit() and 100 <= int(sent) <= 599:
        return "", (int(sent), int(sent))
    raise elements.refused(BAD_STATUS, dict(parameters))


def _text(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name)
    if value is None:
        return ""
    if not 0 < len(value) <= MAX_TEXT:
        raise RefusedError(400, BAD_TEXT % name)
    return value


def _moment(parameters: Mapping[str, str], name: str, default: int) -> int:
    if name not in parameters:
        return default
    us = times.parse(parameters[name])
    if us is None:
        raise elements.refused(BAD_TIME % name, dict(parameters))
    return us
