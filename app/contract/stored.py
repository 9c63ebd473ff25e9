"""Reading what lies in the inbox: kind, codec and bytes back to commands.

A new form gets a new number, of a kind or of a codec. Old numbers keep their reader as long as such rows can exist.
"""

from typing import Any, Final

import msgspec

from app.contract import sdk, track
from app.contract.checked import CODEC_COMMANDS, Checked
from app.contract.kinds import KINDS, SDK, SETTINGS, TRACK, TRACKING
from app.contract.tracking import batch as tracking
from app.domain.commands import ChangeSettings, Command

#: Bit of the codec: before the body stands who sent it.
SIGNED: Final = 64

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
    if not codec & SIGNED:
        return "", codec, body
    end = 2 + int.from_bytes(body[:2])
    return body[2:end].decode(), codec & ~SIGNED, body[end:]


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
