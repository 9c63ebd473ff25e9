"""Dead letters as JSON."""

from app.contract import kinds
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services.caller import Caller
from app.services.dead_letters import Letter, Letters, Replay


def listed(caller: Caller, page: Letters) -> dict[str, object]:
    """The document of GET /v1/dead-letters."""
    document: dict[str, object] = {"dead_letters": [letter_of(caller, letter) for letter in page.letters]}
    if page.more:
        document["next_cursor"] = str(page.letters[-1].accepted_us)
    return document


def replayed(caller: Caller, replay: Replay) -> dict[str, object]:
    """The document of POST /v1/dead-letters/replay."""
    sent = [
        {"id": caller.request_id(x.stream, x.seq), "replayed_as": caller.request_id(x.stream, x.replayed_seq)}
        for x in replay.sent
        if x.replayed_seq is not None
    ]
    refused = [{"id": identifier, "reason": "not_a_dead_letter"} for identifier in replay.unknown]
    refused += [{"id": caller.request_id(x.stream, x.seq), "reason": "body_is_gone"} for x in replay.gone]
    return {"replayed": sent, "not_replayed": refused, "more": replay.more}


def letter_of(caller: Caller, letter: Letter) -> dict[str, object]:
    """One letter, without its body."""
    document: dict[str, object] = {
        "id": caller.request_id(letter.stream, letter.seq),
        "stream": STREAM_NAMES[letter.stream],
        "kind": kinds.name_of(letter.kind),
        "reason": letter.reason,
        "accepted_at": times.iso(letter.accepted_us),
        "dead_at": times.iso(letter.dead_us),
        "bytes": letter.size,
    }
    if letter.replayed_seq is not None and letter.replayed_us is not None:
        document["replayed_as"] = caller.request_id(letter.stream, letter.replayed_seq)
        document["replayed_at"] = times.iso(letter.replayed_us)
    return document
