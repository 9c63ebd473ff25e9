"""The log of requests as JSON: documents."""

from collections.abc import Sequence

from app.contract.request_log import MOMENT_END
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services.caller import Caller
from app.services.request_log import ErrorGroup, Found, Kept
from app.services.request_search import Entry


def found(caller: Caller, page: Found) -> dict[str, object]:
    """The document of GET /v1/requests."""
    document: dict[str, object] = {
        "requests": [entry_of(caller, entry) for entry in page.entries],
        "looked_back_to": times.iso(page.back_to_us) if page.cursor and page.back_to_us < MOMENT_END else None,
        "kept_since": kept(page.kept),
    }
    if page.cursor:
        document["next_cursor"] = page.cursor
    return document


def errors(groups: Sequence[ErrorGroup], since: Kept) -> dict[str, object]:
    """The document of GET /v1/errors."""
    return {"groups": [group_of(group) for group in groups], "kept_since": _moment(since.refused)}


def kept(since: Kept) -> dict[str, object]:
    """How far back the log goes."""
    names = (*STREAM_NAMES, "refused")
    return {name: _moment(us) for name, us in zip(names, (*since.streams, since.refused), strict=True)}


def entry_of(caller: Caller, entry: Entry) -> dict[str, object]:
    """One request."""
    document: dict[str, object] = {"at": times.iso(entry.us), "outcome": entry.outcome, "key": entry.key_name}
    if entry.seq:
        document["id"] = caller.request_id(entry.stream, entry.seq)
        document["stream"] = STREAM_NAMES[entry.stream]
    if entry.kind:
        document["kind"] = entry.kind
    if entry.objects:
        document["objects"] = [
            {"input_array": array, "index": index, "outcome": outcome} for array, index, outcome in entry.outcomes()
        ]
    if entry.skipped:
        document["skipped"] = [
            {"input_array": array, "index": index, "reason": reason} | ({"field": field} if field else {})
            for array, index, field, reason in entry.skipped
        ]
    if entry.reason:
        document["reason"] = entry.reason
    if entry.replayed_seq is not None:
        document["replayed_as"] = caller.request_id(entry.stream, entry.replayed_seq)
    if entry.endpoint:
        document |= {"endpoint": entry.endpoint, "status": entry.status}
    if entry.errors:
        document["errors"] = [_error(*error) for error in entry.errors]
    if entry.count > 1:
        document["count"] = entry.count
    return document


def group_of(group: ErrorGroup) -> dict[str, object]:
    """One kind of error."""
    document: dict[str, object] = {
        "endpoint": group.endpoint,
        "status": group.status,
        "type": group.type,
        "first": times.iso(group.first_us),
        "last": times.iso(group.last_us),
        "count": group.count,
    }
    return document | ({"code": group.code} if group.code else {})


def _error(type_: str, array: str, index: int, code: str) -> dict[str, object]:
    place: dict[str, object] = {} if index < 0 else {"input_array": array, "index": index}
    return {"type": type_} | place | ({"code": code} if code else {})


def _moment(us: int | None) -> str | None:
    return None if us is None else times.iso(us)
