"""Reading what lies in the inbox: kind, codec and bytes back to commands.

The numbers are stored; a new form gets a new number, and old numbers keep their reader as long as such rows can exist.
"""

from typing import Any, Final

import msgspec

from app.contract import aliases, deletion, external_ids, identify, merge_records, merge_request, track
from app.contract.elements import CODEC_COMMANDS
from app.domain.commands import (
    ChangeSettings,
    Command,
    Delete,
    Identify,
    Merge,
    NewAlias,
    RemoveExternalId,
    RenameExternalId,
    UndoMerge,
    UpdateAlias,
)

KIND_TRACK: Final = 1
KIND_SETTINGS: Final = 2
#: What operators call the kinds, those that are not accepted yet included.
KIND_NAMES: Final = {
    KIND_TRACK: "track",
    KIND_SETTINGS: "settings",
    3: "identify",
    4: "merge",
    5: "alias_new",
    6: "alias_update",
    7: "delete",
    8: "rename",
    9: "remove",
    10: "undo",
}

#: Kinds whose body is a list of commands of one class.
_DECODERS: Final[dict[int, msgspec.json.Decoder[Any]]] = {
    identify.KIND: msgspec.json.Decoder(list[Identify]),
    merge_request.KIND: msgspec.json.Decoder(list[Merge]),
    aliases.KIND_NEW: msgspec.json.Decoder(list[NewAlias]),
    aliases.KIND_UPDATE: msgspec.json.Decoder(list[UpdateAlias]),
    deletion.KIND: msgspec.json.Decoder(list[Delete]),
    external_ids.KIND_RENAME: msgspec.json.Decoder(list[RenameExternalId]),
    external_ids.KIND_REMOVE: msgspec.json.Decoder(list[RemoveExternalId]),
    merge_records.KIND_UNDO: msgspec.json.Decoder(list[UndoMerge]),
}

#: Kinds whose effects are in no history.
UNSIGNED: Final = (KIND_SETTINGS,)
#: Bit of the codec: before the body stands who sent it.
SIGNED: Final = 64


def signed(codec: int, body: bytes, key_name: str) -> tuple[int, bytes]:
    """(codec, body) of a request whose effects are written into histories, with the name of the API key.

    In the body and not in a column of its own, so rows that were stored without it stay as they are.
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
    if kind == KIND_TRACK:
        return [*track.decode(codec, body)]
    if kind == KIND_SETTINGS:
        return [ChangeSettings(0, msgspec.json.decode(body))]
    decoder = _DECODERS.get(kind)
    if decoder is not None and codec == CODEC_COMMANDS:
        commands: list[Command] = decoder.decode(body)
        return commands
    raise ValueError("unknown kind of request")


def settings_change(values: dict[str, Any]) -> tuple[int, bytes]:
    """(codec, body) of a request of KIND_SETTINGS."""
    return 1, msgspec.json.encode(values)
