"""What happened to a profile, and where it comes from."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Origin:
    """The command that made a change: its place in the log, when it was accepted, and by which key."""

    stream: int
    seq: int
    ordinal: int
    us: int
    #: Name of the API key; "" where it is not known.
    key_name: str = ""


# What happened. The names are stored and shown.
#: The first line. Profiles that were made before histories existed do not have it.
CREATED: Final = "created"
IDENTIFIED: Final = "identified"
ALIAS_ADDED: Final = "alias_added"
ALIAS_UPDATED: Final = "alias_updated"
RENAMED: Final = "renamed"
EXTERNAL_ID_REMOVED: Final = "external_id_removed"
#: A flag was given or taken away.
FLAGGED: Final = "flagged"
#: It has far more of something than a person has, and takes no further data.
BLOCKED: Final = "blocked"
#: MERGED: another profile was merged into this one. MERGED_INTO: this one was merged into another. UNMERGED and
#: RESTORED: the same two, undone.
MERGED: Final = "merged"
MERGED_INTO: Final = "merged_into"
UNMERGED: Final = "unmerged"
RESTORED: Final = "restored"
#: What is left of a deleted profile, under a keyed hash of its braze_id.
DELETED: Final = "deleted"


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a profile's history. Holds no value of a client."""

    what: str
    origin: Origin
    #: braze_id of the other profile of a merge.
    other: str = ""
    merge_id: str = ""
