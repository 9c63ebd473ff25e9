"""Kinds of stored requests: the only list of them.

The numbers and the names are stored and shown, so they are added to and never used for something else. A new command
gets a row here, and with it a name for operators and a reader.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.domain.commands import (
    AddressEvent,
    Archive,
    BookRevenue,
    ChangeFlags,
    CleanUpImport,
    Command,
    CountRefused,
    Delete,
    DeleteMarked,
    Identify,
    ImportUser,
    Merge,
    MergeDuplicate,
    NewAlias,
    RecordMessage,
    RemoveExternalId,
    RenameExternalId,
    SetEmailState,
    SetGroupState,
    UndoMerge,
    UpdateAlias,
)

TRACK: Final = 1
SETTINGS: Final = 2
DELETE: Final = 7
SDK: Final = 22
TRACKING: Final = 23
REMOVE: Final = 9
FLAGS: Final = 16


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stored request."""

    #: What operators call it.
    name: str
    #: Class of its commands, where the body is a list of them as JSON. None: app.contract.stored reads it otherwise.
    command: type[Command] | None = None
    #: Whether its effects are written into histories. Then the name of the API key is stored with it.
    signed: bool = True


KINDS: Final[Mapping[int, Kind]] = {
    TRACK: Kind("track"),
    SETTINGS: Kind("settings", signed=False),
    3: Kind("identify", Identify),
    4: Kind("merge", Merge),
    5: Kind("alias_new", NewAlias),
    6: Kind("alias_update", UpdateAlias),
    DELETE: Kind("delete", Delete),
    8: Kind("rename", RenameExternalId),
    REMOVE: Kind("remove", RemoveExternalId),
    10: Kind("undo", UndoMerge),
    11: Kind("book", BookRevenue),
    12: Kind("group_state", SetGroupState),
    13: Kind("email_state", SetEmailState),
    14: Kind("address_event", AddressEvent),
    15: Kind("message", RecordMessage),
    FLAGS: Kind("flags", ChangeFlags),
    17: Kind("refused_events", CountRefused, signed=False),
    18: Kind("merge_duplicates", MergeDuplicate),
    19: Kind("delete_marked", DeleteMarked),
    20: Kind("archive", Archive),
    21: Kind("clean_up", CleanUpImport),
    SDK: Kind("sdk"),
    TRACKING: Kind("tracking"),
    24: Kind("import", ImportUser),
}

#: The kind that stores commands of a class.
KIND_OF: Final[Mapping[type[Command], int]] = {
    kind.command: number for number, kind in KINDS.items() if kind.command is not None
}
#: The kind of a name.
BY_NAME: Final[Mapping[str, int]] = {kind.name: number for number, kind in KINDS.items()}


def name_of(number: int) -> str:
    """What operators call a kind; the number as text for one of a newer version."""
    kind = KINDS.get(number)
    return str(number) if kind is None else kind.name
