"""What devices of apps ask for, and what calls of tracking SDKs do. One dataclass per kind of object."""

from dataclasses import dataclass, field

from app.domain.commands import TrackAttributes, TrackEvent, TrackPurchase, TrackTokens
from app.domain.profile import Identifier

# What devices of apps send: app.domain.sdk. `identifier` is always that of the device.


@dataclass(slots=True)
class SdkBatch:
    """The beginning of a batch of records: which device sends it, and by what number it is known."""

    identifier: Identifier
    #: Of the device, one more for each batch.
    number: int
    #: (index, sequence number) of each record, in the order of the latter.
    records: tuple[tuple[int, int], ...]
    #: Sequence number of the first log-in or log-out of the batch; 0 = it has none.
    first_change: int = 0
    index: int = 0
    #: Whether data of a known person needs a signature, and whose it is; None = nobody's.
    signed: bool = False
    signed_by: str | None = None

    input_array = "records"


@dataclass(slots=True)
class StartSession:
    """Somebody begins to use an app."""

    index: int
    identifier: Identifier
    time_us: int
    #: Of the client's choice; the same one again is the same session. "" = none.
    session_id: str
    #: Of the app: its name, its platform, and its version ("" = not told).
    name: str
    platform: str
    version: str

    input_array = "records"


@dataclass(slots=True)
class EndSession:
    """Somebody stops using an app."""

    index: int
    identifier: Identifier
    time_us: int

    input_array = "records"


@dataclass(slots=True)
class DescribeDevice:
    """What a device is, and what of the person can be guessed from it."""

    index: int
    identifier: Identifier
    #: Members of the device; None clears one.
    members: dict[str, object]
    #: `language`, `country`, `time_zone`: set where nobody has said anything else.
    detected: dict[str, str]
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "records"


@dataclass(slots=True)
class AddAlias:
    """Another name for the person who uses a device."""

    index: int
    identifier: Identifier
    label: str
    name: str

    input_array = "records"


@dataclass(slots=True)
class ChangeUser:
    """Somebody logs in on a device."""

    index: int
    identifier: Identifier
    external_id: str
    #: Sequence number of the record; 0 where the SDK numbers nothing.
    sequence: int = 0

    input_array = "records"


@dataclass(slots=True)
class LogOut:
    """Nobody is logged in on a device any more."""

    index: int
    identifier: Identifier
    sequence: int

    input_array = "records"


@dataclass(slots=True)
class DeviceAttributes(TrackAttributes):
    input_array = "records"


@dataclass(slots=True)
class DeviceTokens(TrackTokens):
    input_array = "records"


@dataclass(slots=True)
class DeviceEvent(TrackEvent):
    input_array = "records"


@dataclass(slots=True)
class DevicePurchase(TrackPurchase):
    input_array = "records"


# What calls of tracking SDKs say: app.domain.tracking. A request holds calls of many people; `index` is that of the
# call, and `identifier` is the device, or the external id of a call that names no device.


@dataclass(slots=True)
class Visit:
    """A call comes from a device of an app."""

    index: int
    identifier: Identifier
    #: As in SdkBatch, for one call.
    signed: bool = False
    signed_by: str | None = None

    input_array = "batch"


@dataclass(slots=True)
class AliasUser(ChangeUser):
    """Whoever used a device anonymously is somebody. What the call calls the device may be an external id instead."""

    input_array = "batch"


@dataclass(slots=True)
class DropCall:
    """A call that has no effect, as was found when it was accepted."""

    index: int
    reason: str

    input_array = "batch"


@dataclass(slots=True)
class CallUser(ChangeUser):
    input_array = "batch"


@dataclass(slots=True)
class CallSession(StartSession):
    input_array = "batch"


@dataclass(slots=True)
class CallSessionEnd(EndSession):
    input_array = "batch"


@dataclass(slots=True)
class CallDevice(DescribeDevice):
    input_array = "batch"


@dataclass(slots=True)
class CallAttributes(TrackAttributes):
    input_array = "batch"


@dataclass(slots=True)
class CallTokens(TrackTokens):
    input_array = "batch"


@dataclass(slots=True)
class CallEvent(TrackEvent):
    input_array = "batch"


@dataclass(slots=True)
class CallPurchase(TrackPurchase):
    input_array = "batch"
