"""Dead letters as clients ask for them: filters and pages of the list, and what to send again. Endpoints of our own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract import elements
from app.contract.body import parse_object
from app.contract.errors import RefusedError
from app.contract.kinds import BY_NAME
from app.domain import times

MAX_PAGE: Final = 500
DEFAULT_PAGE: Final = 100
#: Letters that one call sends again.
MAX_REPLAY: Final = 500

IDS_OR_FILTER: Final = "Either 'ids' or 'filter' must be given"
BAD_IDS: Final = f"'ids' must be an array of 1 to {MAX_REPLAY} request ids"
BAD_FILTER: Final = "'filter' must be an object of 'reason', 'kind', 'from' and 'to'"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters: None stands for any. Times are those of acceptance in microseconds, `to_us` exclusive."""

    reason: str | None = None
    kind: int | None = None
    from_us: int | None = None
    to_us: int | None = None
    replayed: bool | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What the list is asked for. `after_us` is the place of the last letter of the page before."""

    filter: Filter
    after_us: int
    limit: int


def read_page(parameters: Mapping[str, str]) -> Page:
    """The query of GET /v1/dead-letters. Raises RefusedError(400)."""
    return Page(
        _filter(parameters, {"reason", "kind", "from", "to", "replayed", "limit", "cursor"}),
        _number(parameters, "cursor", 0, 0, 2**62),
        _number(parameters, "limit", DEFAULT_PAGE, 1, MAX_PAGE),
    )


def read_replay(body: bytes) -> list[str] | Filter:
    """The body of POST /v1/dead-letters/replay: ids, or a filter. Raises RefusedError(400)."""
    document = parse_object(body)
    if document is None or ("ids" in document) == ("filter" in document) or len(document) != 1:
        raise elements.refused(IDS_OR_FILTER, document)
    if "ids" in document:
        ids = document["ids"]
        if not isinstance(ids, list) or not 0 < len(ids) <= MAX_REPLAY or not all(isinstance(x, str) for x in ids):
            raise RefusedError(400, BAD_IDS)
        return list(dict.fromkeys(ids))
    wanted = document["filter"]
    if not isinstance(wanted, dict) or not all(isinstance(value, str) for value in wanted.values()):
        raise elements.refused(BAD_FILTER, document)
    return _filter(wanted, {"reason", "kind", "from", "to"})


def _filter(given: Mapping[str, Any], known: set[str]) -> Filter:
    unknown = given.keys() - known
    if unknown:
        sentence = f"Only these may be asked for: {', '.join(sorted(known))}"
        raise elements.refused(sentence, dict(given), names=frozenset(known))
    return Filter(
        _read(given, "reason", _text, "printable text"),
        _read(given, "kind", BY_NAME.get, f"one of {', '.join(BY_NAME)}"),
        _read(given, "from", times.parse, "a time"),
        _read(given, "to", times.parse, "a time"),
        _read(given, "replayed", {"true": True, "false": False}.get, "true or false"),
    )


def _text(value: str) -> str | None:
    """The value, unless it has NUL or half a surrogate pair in it, which no database holds."""
    return value if value.isprintable() else None


def _read(given: Mapping[str, str], name: str, reader: Callable[[str], Any], wanted: str) -> Any:
    if name not in given:
        return None
    value = reader(given[name])
    if value is None:
        raise elements.refused(f"'{name}' must be {wanted}", dict(given))
    return value


def _number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise RefusedError(400, f"'{name}' must be a number from {least} to {most}")
    return int(text)
