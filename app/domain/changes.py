"""The record of what a batch changed: all that has to be written."""

from collections import Counter
from dataclasses import dataclass, field, fields

from app.domain.history import Happening, Origin
from app.domain.profile import Address, AddressState, Identifier, Occurrence, Problem


@dataclass(frozen=True, slots=True)
class Link:
    """A merged-away profile in the family tree of the one that it went into."""

    member_pid: int
    parent_pid: int
    #: Whether its events and purchases count as the parent's.
    with_occurrences: bool


@dataclass(slots=True)
class Counts:
    """How much of the requests had an effect, and how much had none."""

    #: Objects of /users/track that were applied.
    attributes: int = 0
    events: int = 0
    purchases: int = 0
    #: Profiles that got an external id.
    identified: int = 0
    #: Profiles that were merged into another one.
    merged: int = 0
    #: Aliases added or changed.
    aliases: int = 0
    #: Profiles.
    deleted: int = 0
    #: External ids renamed, and former ones removed.
    renamed: int = 0
    #: Profiles whose flags changed.
    flagged: int = 0
    #: Profiles that were blocked as no person's.
    blocked: int = 0
    #: Commands without any effect.
    skipped: int = 0
    #: Single fields without effect.
    ignored: int = 0

    def add(self, other: "Counts") -> None:
        """Count what something else did as well."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


@dataclass(frozen=True, slots=True)
class Departure:
    """A profile that a client deleted, as those are told who know it."""

    pid: int
    braze_id: str
    external_id: str | None


@dataclass(slots=True)
class Changes:
    """What has to be written. `sections` names the changed sections of every touched profile, as a bit mask."""

    created: set[int] = field(default_factory=set)
    sections: dict[int, int] = field(default_factory=dict)
    #: Profiles whose rows have to go.
    removed: set[int] = field(default_factory=set)
    #: Removed because a client deleted them, not because they were merged away. Whatever was merged into them goes too.
    erased: set[int] = field(default_factory=set)
    #: Values of all identifiers that the erased profiles had, and those that were merged into them.
    erased_identifiers: set[str] = field(default_factory=set)
    #: In order: a Link that was made, or the number of a member whose link was taken back.
    lineage: list[Link | int] = field(default_factory=list)
    #: (channel, address). All their recorded consent is deleted before `addresses` are written.
    forgotten: set[tuple[int, str]] = field(default_factory=set)
    identifiers_added: set[tuple[Identifier, int]] = field(default_factory=set)
    identifiers_dropped: set[tuple[Identifier, int]] = field(default_factory=set)
    #: None deletes what is recorded.
    addresses: dict[Address, AddressState | None] = field(default_factory=dict)
    #: Ids of merge records that were made or changed.
    records: set[str] = field(default_factory=set)
    #: What happened to profiles, by pid, in its order.
    history: dict[int, list[Happening]] = field(default_factory=dict)
    #: Of each deleted profile the hash of its braze_id, and the command that deleted it.
    deleted: list[tuple[str, Origin]] = field(default_factory=list)
    deletions: list[Departure] = field(default_factory=list)
    #: The erased profiles and everybody who was merged into them. The store finds them, and they are not here before.
    family: set[int] = field(default_factory=set)
    #: Webhooks in whose segments they were, by number. The store finds them as well.
    members: dict[int, tuple[str, ...]] = field(default_factory=dict)
    occurrences: list[Occurrence] = field(default_factory=list)
    #: (kind of name, name, type of the value) -> how often it was written, in the order of the first time. The type is
    #: "" for events and products, and for refused e-commerce events what was wrong with them.
    written: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    #: Of `written`, how many writes were not counted: the catalogue of the workspace is full.
    unlisted: int = 0
    #: Bucket of app.domain.series -> [count, amount] to add.
    series: dict[tuple[int, str, str, int, int], list[int]] = field(default_factory=dict)
    #: How much of that was not kept: the workspace has as many series as it may have.
    unlisted_series: int = 0
    #: What happened too long ago to be in any series.
    too_old: int = 0
    problems: list[Problem] = field(default_factory=list)
    settings_changed: bool = False
    counts: Counts = field(default_factory=Counts)
