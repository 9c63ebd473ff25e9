"""What a merge would do, what it did, and all that is needed to undo it. Values without behaviour."""

from dataclasses import dataclass
from typing import Any

from app.domain.history import Origin
from app.domain.merging.rules import Path
from app.domain.profile import Address, AddressState, Identifier, Profile


@dataclass(frozen=True, slots=True)
class Change:
    """A value of the kept profile, the merged one's, and what comes of them; None is no value."""

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
    #: (label, kept name, merged name): both have an alias of one label; the merged one's becomes free.
    alias_conflicts: tuple[tuple[str, str, str], ...]
    #: A refusal of somebody without e-mail address that the address gets; never a state more permissive than before.
    consent: Consent | None = None


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
    #: The merge that had been the last one of the kept profile; it can be undone once this one is.
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
