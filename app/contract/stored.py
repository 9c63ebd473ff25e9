"""Reading what lies in the inbox: kind, codec and bytes back to commands.

The numbers are stored; a new form gets a new number, and old numbers keep their reader as long as such rows can exist.
"""

from typing import Any, Final

import msgspec

from app.contract import track
from app.domain.commands import ChangeSettings, Command

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


def commands(kind: int, codec: int, body: bytes) -> list[Command]:
    """The commands of a stored request, in the order of effect. Raises ValueError for an unknown form."""
    if kind == KIND_TRACK:
        return [*track.decode(codec, body)]
    if kind == KIND_SETTINGS:
        return [ChangeSettings(0, msgspec.json.decode(body))]
    raise ValueError("unknown kind of request")


def settings_change(values: dict[str, Any]) -> tuple[int, bytes]:
    """(codec, body) of a request of KIND_SETTINGS."""
    return 1, msgspec.json.encode(values)
