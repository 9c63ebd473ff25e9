"""A user as a file tells of one: what an import gives to a profile. Normalised by the contract, as commands are."""

from dataclasses import dataclass, field

Summary = list[int]
"""[count, first_us, last_us]"""

Counted = tuple[int, int | None, int | None]
"""(how many, the first moment, the last one)"""


@dataclass(slots=True)
class ImportedUser:
    """What is told of one person. What is empty, or None, is not told. Times are microseconds."""

    external_id: str | None = None
    #: 24 lower-case hex digits.
    braze_id: str | None = None
    #: {label: name}
    aliases: dict[str, str] = field(default_factory=dict)
    #: Former external ids, oldest first.
    former: list[str] = field(default_factory=list)
    created_us: int | None = None
    created_from: str | None = None
    random_bucket: int | None = None
    #: Bits of Profile.flags.
    flags: int = 0
    #: Reserved fields, as TrackAttributes has them, without those of consent and push tokens.
    fields: dict[str, object] = field(default_factory=dict)
    #: Custom attributes as sent.
    custom: dict[str, object] = field(default_factory=dict)
    events: dict[str, Summary] = field(default_factory=dict)
    purchases: dict[str, Summary] = field(default_factory=dict)
    revenue_cents: int | None = None
    bought: Counted | None = None
    sessions: Counted | None = None
    #: (channel, topic, state, changed_us) of the person's addresses; changed_us is None where nobody knows.
    recorded: list[tuple[int, str, str, int | None]] = field(default_factory=list)
    #: Fields of `core` that hold consent of their own: [state, changed_us], or {group: [state, changed_us]}.
    states: dict[str, object] = field(default_factory=dict)
    #: As in Profile: {key: device}, {token: entry}, {app: use}, {app or "": mark}.
    devices: dict[str, dict[str, object]] = field(default_factory=dict)
    tokens: dict[str, dict[str, object]] = field(default_factory=dict)
    apps: dict[str, dict[str, object]] = field(default_factory=dict)
    active: dict[str, list[int]] = field(default_factory=dict)
    uninstalled_us: int | None = None
    #: As in Profile.
    received: dict[str, int] = field(default_factory=dict)
    campaigns: dict[str, dict[str, int]] = field(default_factory=dict)
    canvases: dict[str, dict[str, int]] = field(default_factory=dict)
    history: dict[str, dict[str, object]] = field(default_factory=dict)
    #: The section `commerce`.
    commerce: dict[str, object] = field(default_factory=dict)
