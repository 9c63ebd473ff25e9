"""What became of a request, as JSON."""

from app.domain import times
from app.domain.reasons import INVALID_NAME
from app.services.caller import Caller
from app.services.requests import RequestStatus


def status(caller: Caller, identifier: str, found: RequestStatus) -> dict[str, object]:
    """The document of GET /v1/requests/{id}."""
    document: dict[str, object] = {
        "id": identifier,
        "status": found.status,
        "accepted_at": None if found.accepted_us is None else times.iso(found.accepted_us),
        "skipped": [
            # The name of a field may be empty, which is then what is wrong with it.
            {"input_array": array, "index": index, "reason": reason}
            | ({"field": field} if field or reason == INVALID_NAME else {})
            for array, index, field, reason in found.skipped
        ],
    }
    if found.letter is not None:
        document["reason"] = found.letter.reason
        if found.letter.replayed_seq is not None:
            document["replayed_as"] = caller.request_id(found.stream, found.letter.replayed_seq)
    return document
