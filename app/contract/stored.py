"""Reading what lies in the inbox: kind, codec and bytes back to commands.

A new form gets a new number, of a kind or of a codec. Old numbers keep their reader as long as such rows can exist.
"""

from dataclasses import replace
from typing import Any, Final

import msgspec

from app.contract import sdk, track
from app.contract.checked import CODEC_COMMANDS, Checked
from app.contract.kinds import KINDS, SDK, SETTINGS, TRACK, TRACKING
from app.contract.tracking import batch as tracking
from app.domain.commands import ChangeSettings, Command
from app.domain.progress import Progress

#: Bit of the codec: before the body stands who sent it.
SIGNED: Final = 64
#: Bit of the codec: before all that stands what of the request has taken effect already.
BEGUN: Final = 128

_DECODERS: Final[dict[int, msgspec.json.Decoder[Any]]] = {
    number: msgspec.json.Decoder(list[kind.command])  # type: ignore[name-defined]
    for number, kind in KINDS.items()
    if kind.command is not None
}


def settings_change(values: dict[str, Any]) -> Checked:
    """New values of fields of ApplySettings."""
    return Checked(SETTINGS, 1, msgspec.json.encode(values))


def signed(codec: int, body: bytes, key_name: str) -> tuple[int, bytes]:
    """(codec, body) of a request whose effects are written into histories, with the name of the API key.

    The name stands in the body and not in a column of its own, so rows that were stored without it stay as they are.
    """
    name = key_name.encode()
    return codec | SIGNED, len(name).to_bytes(2) + name + body


def opened(codec: int, body: bytes) -> tuple[str, int, bytes]:
    """(name of the API key, codec, body) of a stored request; the name is "" where none was stored."""
    if codec & BEGUN:
        codec, body = codec & ~BEGUN, _begun(body)[1]
    if not codec & SIGNED:
        return "", codec, body
    end = 2 + int.from_bytes(body[:2])
    return body[2:end].decode(), codec & ~SIGNED, body[end:]


def begun(codec: int, body: bytes, progress: Progress) -> tuple[int, bytes]:
    """(codec, body) of a request of which the rest has to take effect, at another place in the log.

    Problems of before are told of the request that had them. What it had made of attributes is as any other value.
    """
    if codec & BEGUN:
        _, body = _begun(body)
    told = replace(progress, problems=[], carried=replace(progress.carried, drafts={}))
    document = msgspec.json.encode(told)
    return codec | BEGUN, len(document).to_bytes(4) + document + body


def progress(codec: int, body: bytes) -> Progress | None:
    """What of a stored request has taken effect already; None: nothing has."""
    if not codec & BEGUN:
        return None
    return msgspec.json.decode(_begun(body)[0], type=Progress)


def _begun(body: bytes) -> tuple[bytes, bytes]:
    """(what has taken effect, the body as it was sent) of what is BEGUN."""
    end = 4 + int.from_bytes(body[:4])
    return body[4:end], body[end:]


def commands(kind: int, codec: int, body: bytes) -> list[Command]:
    """The commands of a stored request, in the order of effect. Raises ValueError for an unknown form."""
    if kind == TRACK:
        return [*track.decode(codec, body)]
    if kind == SETTINGS:
        return [ChangeSettings(0, msgspec.json.decode(body))]
    if kind == SDK:
        return sdk.decode(body)
    if kind == TRACKING:
        return tracking.decode(body)
    decoder = _DECODERS.get(kind)
    if decoder is not None and codec == CODEC_COMMANDS:
        decoded: list[Command] = decoder.decode(body)
        return decoded
    raise ValueError("unknown kind of request")
