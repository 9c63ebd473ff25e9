"""What clients ask for, after the contract has read and normalised it. One dataclass per kind of object.

A list of nouns, of more lines than other modules. Those of devices are in app.domain.device_commands.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from app.domain.imported import ImportedUser
from app.domain.profile import Identifier
from app.domain.progress import Progress

STREAM_NORMAL: Final = 0
STREAM_BULK: Final = 1
STREAM_NAMES: Final = ("normal", "bulk")
STREAMS: Final = (STREAM_NORMAL, STREAM_BULK)


class Command(Protocol):
    """One thing that a request asks for. Each class has a row in app.domain.effects."""

    @property
    def input_array(self) -> str:
        """The array of the request in which it was sent."""

    @property
    def index(self) -> int:
        """Its position there."""


class StreamKey(NamedTuple):
    """One of the two streams of one workspace."""

    workspace_id: int
    stream: int


@dataclass(slots=True)
class Unreadable:
    """An object that was accepted, and that this version cannot read. It is skipped, and the others go on."""

    index: int
    input_array: str


@dataclass(slots=True)
class TrackAttributes:
    """One element of `attributes`."""

    #: Position in the array as submitted.
    index: int
    #: The identifier that addresses the profile.
    identifier: Identifier
    #: `_update_existing_only`; None when it was left out.
    update_only: bool | None
    merge_objects: bool
    #: Reserved fields, normalised; None clears the field.
    fields: dict[str, object]
    #: Custom attributes as sent.
    custom: dict[str, object]
    #: (field, reason) of what was dropped while reading.
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "attributes"


@dataclass(slots=True)
class TrackTokens(TrackAttributes):
    """One with push tokens: `fields` has `push_tokens`, [[app, platform, token, device or None], …]."""


@dataclass(slots=True)
class ImportToken(TrackAttributes):
    """One that imports a push token, which is its identifier. One with several tokens becomes several of these."""


@dataclass(slots=True)
class TrackEvent:
    """One element of `events`."""

    index: int
    identifier: Identifier
    update_only: bool | None
    name: str
    time_us: int
    app_id: str | None
    properties: dict[str, object] | None
    ignored: list[tuple[str, str]] = field(default_factory=list)
    #: A recommended e-commerce event, whose properties follow its schema: see app.domain.ecommerce.
    recommended: bool = False

    input_array = "events"


@dataclass(slots=True)
class TrackPurchase:
    """One element of `purchases`, or of the singular `purchase`."""

    index: int
    identifier: Identifier
    update_only: bool | None
    product_id: str
    currency: str
    #: Per unit, in the currency's base unit; negative for a refund.
    price: Decimal
    quantity: int
    time_us: int
    app_id: str | None
    properties: dict[str, object] | None
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "purchases"


@dataclass(slots=True)
class ChangeSettings:
    """New values of fields of ApplySettings."""

    index: int
    values: dict[str, object]

    input_array = "settings"


@dataclass(slots=True)
class Selector:
    """Who is meant: an identifier, and what decides among the holders of an e-mail address or a phone number."""

    #: The identifier, stored under this name. None: nobody can have what was sent, such as an unreadable phone number.
    key: Identifier | None
    #: The values of `prioritization`, in order; empty for an identifier that only one profile can have.
    prioritization: tuple[str, ...] = ()


@dataclass(slots=True)
class Identify:
    """One element of an array of /users/identify."""

    input_array: str
    index: int
    external_id: str
    who: Selector
    #: `merge_behavior`. True (`merge`): an existing owner of the external id receives everything. False (`none`): only
    #: push tokens, message history and aliases.
    merge: bool


@dataclass(slots=True)
class Merge:
    """One element of `merge_updates`."""

    index: int
    merge: Selector
    keep: Selector

    input_array = "merge_updates"


@dataclass(slots=True)
class MergeDuplicate:
    """One merge that a merge rule asks for. All merges of a group stand in one request, in the order of effect.

    It is checked again when it is applied: see app.domain.merging.duplicates.
    """

    index: int
    #: The e-mail address or phone number that makes the two duplicates.
    shared: Identifier
    merged_braze_id: str
    kept_braze_id: str
    #: The rule: `resolve_ties_using` and `prioritization` of app.domain.merging.match.
    ties: str
    prioritization: str

    input_array = "duplicates"


@dataclass(slots=True)
class NewAlias:
    """One element of `user_aliases`; without an external id it makes a profile."""

    index: int
    external_id: str | None
    label: str
    name: str

    input_array = "user_aliases"


@dataclass(slots=True)
class UpdateAlias:
    """One element of `alias_updates`."""

    index: int
    label: str
    old_name: str
    new_name: str

    input_array = "alias_updates"


@dataclass(slots=True)
class Delete:
    """One identifier of /users/delete."""

    input_array: str
    index: int
    who: Selector


@dataclass(slots=True)
class DeleteMarked:
    """A profile that is to be deleted if it still is marked for deletion."""

    index: int
    braze_id: str

    input_array = "braze_ids"


@dataclass(slots=True)
class Archive:
    """A profile that is to be deleted if nobody has heard of it for long: see app.domain.archival."""

    index: int
    braze_id: str
    #: Since when is counted up to this moment.
    us: int

    input_array = "braze_ids"


@dataclass(slots=True)
class CleanUpImport:
    """A profile that is to be deleted if nothing is known of it but a push token that was imported and is gone."""

    index: int
    braze_id: str

    input_array = "braze_ids"


@dataclass(slots=True)
class RenameExternalId:
    """One element of `external_id_renames`."""

    index: int
    current: str
    new: str

    input_array = "external_id_renames"


@dataclass(slots=True)
class RemoveExternalId:
    """One element of `external_ids` of /users/external_ids/remove."""

    index: int
    external_id: str

    input_array = "external_ids"


@dataclass(slots=True)
class UndoMerge:
    """Take a merge back."""

    index: int
    merge_id: str

    input_array = "merges"


@dataclass(slots=True)
class ChangeFlags:
    """One element of `flags`: bits of Profile.flags that are set, and bits that are cleared."""

    index: int
    identifier: Identifier
    on: int
    off: int

    input_array = "flags"


@dataclass(slots=True)
class BookRevenue:
    """Count what a profile spent in currencies that had no rate when it did."""

    index: int
    braze_id: str

    input_array = "profiles"


@dataclass(slots=True)
class SetGroupState:
    """One identifier of a call that sets the state of a subscription group."""

    input_array: str
    index: int
    #: An external id, an e-mail address or a phone number.
    who: Identifier
    #: Of the group: CHANNEL_EMAIL or CHANNEL_PHONE.
    channel: int
    group_id: str
    state: str
    #: `use_double_opt_in_logic`: nothing is recorded of an address that nobody has.
    double_opt_in: bool = False


@dataclass(slots=True)
class SetEmailState:
    """One address of /email/status."""

    index: int
    email: str
    state: str

    input_array = "email"


@dataclass(slots=True)
class AddressEvent:
    """Something that is told of an address or, when an app is gone, of a person."""

    input_array: str
    index: int
    #: One of those of app.domain.subscriptions.
    kind: str
    #: An e-mail address or a phone number; any identifier for an app that is gone.
    who: Identifier
    #: When it was; None = when the request was accepted.
    time_us: int | None = None
    #: Why a number is invalid.
    reason: str = ""
    #: The app that is gone; None = any.
    app_id: str | None = None


@dataclass(slots=True)
class RecordMessage:
    """A message that a person got, or something that the person did with one: see app.domain.messages."""

    index: int
    identifier: Identifier
    #: Channel and what happened, such as `email_opened`; in a canvas, without a message, what happened alone.
    kind: str
    time_us: int | None = None
    #: Of the message or the engagement; None = it has none.
    message_id: str | None = None
    campaign_id: str | None = None
    canvas_id: str | None = None

    input_array = "messages"


@dataclass(slots=True)
class ImportUser:
    """A user of a file: see app.domain.imports."""

    index: int
    #: The first of what is told by which a profile can be found: external id, braze_id, alias.
    identifier: Identifier
    user: ImportedUser
    #: What is told goes before what is there. Else it fills what is missing.
    overwrite: bool = False
    #: (field, reason) of what was dropped while reading.
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "users"


@dataclass(slots=True)
class CountRefused:
    """How often a recommended e-commerce event was refused for one kind of fault since it was last counted."""

    index: int
    event: str
    fault: str
    count: int

    input_array = "events"


Track = TrackAttributes | TrackEvent | TrackPurchase


@dataclass(slots=True)
class Request:
    """An accepted request: its place in the order of its workspace, and what it asks for, in the order of effect."""

    stream: int
    seq: int
    #: Time of acceptance in microseconds; strictly increasing in a workspace.
    accepted_us: int
    commands: list[Command]
    #: Name of the API key, where the request is of a kind that keeps it.
    key_name: str = ""
    #: What has taken effect already; None: nothing has.
    begun: Progress | None = None
