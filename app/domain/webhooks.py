"""Change webhooks: who is told of which changes of people, and when a message that was not taken is tried again.

A request changes a profile in several ways at once. That is one event, with all its types; a webhook is told of it
once, under the first of the types in TYPES that it wants.
"""

from dataclasses import dataclass, field
from typing import Final

from app.domain.times import SECOND

# Types of events, as bits. The numbers are stored.
DELETED: Final = 1
MERGED: Final = 2  # somebody was merged into the profile
MERGE_UNDONE: Final = 4  # a merge into it, or of it, was taken back
CREATED: Final = 8
IDENTIFIED: Final = 16  # it got an external id
SUBSCRIPTION: Final = 32
UPDATED: Final = 64  # any other field
TEST: Final = 128  # nobody changed
ENTERED: Final = 256  # it is in the segment of the webhook, and was not
LEFT: Final = 512

#: Their names, the most telling first.
TYPES: Final = {
    DELETED: "profile.deleted",
    MERGED: "profile.merged",
    MERGE_UNDONE: "profile.merge_undone",
    ENTERED: "segment.entered",
    LEFT: "segment.left",
    CREATED: "profile.created",
    IDENTIFIED: "profile.identified",
    SUBSCRIPTION: "subscription.changed",
    UPDATED: "profile.updated",
    TEST: "webhook.test",
}
#: What a webhook may ask for.
EVENTS: Final = tuple(name for bit, name in TYPES.items() if bit != TEST)
#: What only a webhook of a segment is told.
OF_SEGMENT: Final = (TYPES[ENTERED], TYPES[LEFT])
#: What any other may ask for.
CHANGES: Final = tuple(name for name in EVENTS if name not in OF_SEGMENT)

#: Why a webhook of a segment was switched off.
SEGMENT_TOO_LARGE: Final = "segment_too_large"

#: When a message that was not taken is tried again, in seconds after each attempt; after the last one it is dead.
PAUSES: Final = (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400)
#: Failures in a row after which a webhook rests between attempts, however much waits: 1 s, twice as long each time.
FAILURES_BEFORE_REST: Final = 3
LONGEST_REST: Final = 60

#: Names of changed fields of an event; further ones are only said to be there.
MAX_CHANGED: Final = 100


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told."""

    workspace_id: int
    #: A UUID of ours.
    id: str
    url: str
    #: Names of TYPES.
    events: tuple[str, ...]
    #: Whether messages hold the profile, and not only how it is called.
    with_profile: bool
    enabled: bool
    created_us: int
    created_by: str
    #: What messages are signed with; and until `former_until_us` with the former one as well, "" = there is none.
    secret: str
    former_secret: str = ""
    former_until_us: int = 0
    #: Failures since the last message that was taken; it rests until then; and what was wrong.
    failures: int = 0
    rests_until_us: int = 0
    error: str = ""
    #: When the last message was taken; 0 = none was.
    delivered_us: int = 0
    #: Messages that went unsent, since they were too old or too many.
    dropped: int = 0
    #: Until then somebody is sending.
    lease_us: int = 0
    #: It is told only of people who are in the segment, or were until now. "" = of everybody.
    segment_id: str = ""

    @property
    def wants(self) -> int:
        """Its types, as bits. A test is always wanted."""
        return TEST | sum(bit for bit, name in TYPES.items() if name in self.events)

    def signers(self, now_us: int) -> tuple[str, ...]:
        """The secrets that a message of now is signed with."""
        former = (self.former_secret,) if self.former_secret and now_us < self.former_until_us else ()
        return (self.secret, *former)


@dataclass(slots=True)
class ProfileEvent:
    """What one request changed of one profile. How people are called stands beside it only where they are gone."""

    stream: int
    seq: int
    #: When the request was accepted.
    us: int
    pid: int
    #: Bits of TYPES.
    types: int = 0
    #: Names of fields.
    changed: set[str] = field(default_factory=set)
    #: Numbers of the profiles that were merged into this one, or came back out of it.
    others: set[int] = field(default_factory=set)
    #: (braze_id, external id) of a deleted profile; and the webhooks in whose segments it was.
    gone: tuple[str, str | None] | None = None
    members: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[int, int, int]:
        return (self.stream, self.seq, self.pid)

    def add(self, more: "ProfileEvent") -> None:
        """Take in what a later part of the same request changed."""
        self.types |= more.types
        self.changed |= more.changed
        self.others |= more.others
        if self.types & CREATED:
            self.types &= ~UPDATED


def type_of(types: int, wanted: int) -> str:
    """The name under which a webhook is told, "" when it wants none of the types."""
    return next((name for bit, name in TYPES.items() if types & wanted & bit), "")


def names_of(types: int) -> list[str]:
    """All types of an event."""
    return [name for bit, name in TYPES.items() if types & bit]


def rest_us(failures: int) -> int:
    """How long a webhook rests after so many failures in a row."""
    if failures < FAILURES_BEFORE_REST:
        return 0
    return min(1 << min(failures - FAILURES_BEFORE_REST, 16), LONGEST_REST) * SECOND
