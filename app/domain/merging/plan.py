"""What a merge would do, what it did, and all that is needed to undo it. Values without behaviour."""

from dataclasses import dataclass
from typing import Any

from app.domain.history import Origin
from app.domain.merging.leaves import Path
from app.domain.profile import Address, AddressState, Identifier, Profile


@dataclass(frozen=True, slots=True)
class Change:
    """One value: the kept profile's, the merged profile's, and the result. None is no value."""

    path: Path
    kept: Any
    merged: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Consent:
    """The recorded state of an address, before and after."""

    address: Address
    before: AddressState | None
    after: AddressState


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What merging would do. The identifiers of the merged profile are in `moved` or in `retired`."""

    policy: str
    kept_pid: int
    merged_pid: int
    kept_braze_id: str
    merged_braze_id: str
    #: Values of the kept profile that change.
    changes: tuple[Change, ...]
    #: Values of the merged profile that nobody has afterwards.
    lost: tuple[Change, ...]
    #: Identifiers of the merged profile that lead to the kept one afterwards.
    moved: tuple[Identifier, ...]
    #: Identifiers of the merged profile that lead to nobody afterwards.
    retired: tuple[Identifier, ...]
    #: (label, kept name, merged name) where both have an alias of one label. The merged profile's alias becomes free.
    alias_conflicts: tuple[tuple[str, str, str], ...]
    #: The state that the kept profile's address gets from a profile that had none. Never more permissive than before.
    consent: Consent | None = None
    #: The states of subscription groups that the kept profile's addresses get.
    groups: tuple[Consent, ...] = ()


@dataclass(slots=True)
class MergeRecord:
    """A merge that was performed."""

    #: 24 lower-case hex digits.
    id: str
    kept_pid: int
    merged_pid: int
    kept_braze_id: str
    merged_braze_id: str
    #: When the merged profile was created, in microseconds.
    merged_created_us: int
    origin: Origin
    #: Id of the merge before this one into the kept profile. It can be undone when this one has been undone.
    previous: str | None
    #: (updated_us, updated_index) of the kept profile before.
    kept_updated: tuple[int, int]
    #: From this moment on the merge cannot be undone, and `plan` and `snapshot` may go.
    expires_us: int
    plan: MergePlan | None
    #: The merged profile as it was, with all sections; None once the merge is undone or too old for it.
    snapshot: Profile | None
    undone: Origin | None = None
    #: Names of what an undo could not separate for sure.
    unseparated: list[str] | None = None
