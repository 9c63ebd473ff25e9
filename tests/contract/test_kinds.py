"""A command is one class, one row of effects, and one row of kinds: nothing else has to know of it."""

import inspect
from dataclasses import fields, is_dataclass

import msgspec
import pytest

from app.contract import stored
from app.contract.checked import CODEC_COMMANDS, commands_checked
from app.contract.kinds import BY_NAME, KIND_OF, KINDS, SDK, SETTINGS, TRACK, TRACKING, name_of
from app.domain import commands, device_commands
from app.domain.commands import (
    ChangeSettings,
    Command,
    CountRefused,
    ImportToken,
    TrackAttributes,
    TrackEvent,
    TrackPurchase,
    TrackTokens,
    Unreadable,
)
from app.domain.device_commands import (
    AddAlias,
    AliasUser,
    CallAttributes,
    CallDevice,
    CallEvent,
    CallPurchase,
    CallSession,
    CallSessionEnd,
    CallTokens,
    CallUser,
    ChangeUser,
    DescribeDevice,
    DeviceAttributes,
    DeviceEvent,
    DevicePurchase,
    DeviceTokens,
    DropCall,
    EndSession,
    LogOut,
    SdkBatch,
    StartSession,
    Visit,
)
from app.domain.effects import EFFECTS

CLASSES = {
    found
    for module in (commands, device_commands)
    for _, found in inspect.getmembers(module, inspect.isclass)
    if is_dataclass(found) and "index" in {member.name for member in fields(found)}
}
#: Stored in a form of their own.
APART = {
    TrackAttributes: TRACK,
    TrackTokens: TRACK,
    ImportToken: TRACK,
    SdkBatch: SDK,
    StartSession: SDK,
    EndSession: SDK,
    DescribeDevice: SDK,
    AddAlias: SDK,
    ChangeUser: SDK,
    LogOut: SDK,
    DeviceAttributes: SDK,
    DeviceTokens: SDK,
    DeviceEvent: SDK,
    DevicePurchase: SDK,
    Visit: TRACKING,
    AliasUser: TRACKING,
    DropCall: TRACKING,
    CallUser: TRACKING,
    CallSession: TRACKING,
    CallSessionEnd: TRACKING,
    CallDevice: TRACKING,
    CallAttributes: TRACKING,
    CallTokens: TRACKING,
    CallEvent: TRACKING,
    CallPurchase: TRACKING,
    TrackEvent: TRACK,
    TrackPurchase: TRACK,
    Unreadable: TRACK,
    ChangeSettings: SETTINGS,
}


def test_every_command_has_its_rows() -> None:
    assert len(CLASSES) >= 12
    assert set(EFFECTS) == CLASSES
    assert set(KIND_OF) | set(APART) == CLASSES
    assert not set(KIND_OF) & set(APART)


def test_numbers_and_names_are_stored_and_never_change() -> None:
    assert {number: kind.name for number, kind in KINDS.items()} == {
        1: "track",
        2: "settings",
        3: "identify",
        4: "merge",
        5: "alias_new",
        6: "alias_update",
        7: "delete",
        8: "rename",
        9: "remove",
        10: "undo",
        11: "book",
        12: "group_state",
        13: "email_state",
        14: "address_event",
        15: "message",
        16: "flags",
        17: "refused_events",
        18: "merge_duplicates",
        19: "delete_marked",
        20: "archive",
        21: "clean_up",
        22: "sdk",
        23: "tracking",
        24: "import",
    }
    assert [number for number, kind in KINDS.items() if not kind.signed] == [SETTINGS, KIND_OF[CountRefused]]
    assert {name: name_of(number) for name, number in BY_NAME.items()} == {name: name for name in BY_NAME}
    assert name_of(4711) == "4711"


@pytest.mark.parametrize("command", KIND_OF, ids=lambda command: command.__name__)
def test_stored_and_read_back(command: type[Command]) -> None:
    """Whatever a class holds: the worker reads the form that was stored."""
    values = {
        "index": 3,
        "input_array": "a",
        "external_id": "e",
        "who": {"key": [4, "", "a@example.org"], "prioritization": ["identified"]},
        "merge": {"key": [1, "", "m"], "prioritization": []},
        "keep": {"key": None, "prioritization": []},
        "label": "l",
        "name": "n",
        "old_name": "o",
        "new_name": "p",
        "current": "c",
        "new": "d",
        "merge_id": "f" * 24,
        "braze_id": "b" * 24,
        "identifier": [3, "l", "n"],
        "on": 1,
        "off": 2,
        "channel": 2,
        "group_id": "g",
        "state": "subscribed",
        "double_opt_in": True,
        "email": "a@example.org",
        "kind": "hard_bounce",
        "time_us": 5,
        "us": 6,
        "reason": "deactivated",
        "message_id": "m",
        "campaign_id": "c",
        "canvas_id": None,
        "event": "e",
        "fault": "f",
        "count": 2,
        "shared": [4, "", "a@example.org"],
        "merged_braze_id": "a" * 24,
        "kept_braze_id": "c" * 24,
        "ties": "updated_at",
        "prioritization": "newest",
        "user": {"external_id": "e", "recorded": [[1, "", "unsubscribed", None]], "sessions": [1, None, 2]},
        "overwrite": True,
    }
    if command.__name__ in ("SetGroupState", "AddressEvent"):
        values["who"] = [5, "", "+34600123450"]
    if command.__name__ == "Identify":
        values["merge"] = False
    wanted = msgspec.convert(values, command)
    checked = commands_checked([wanted], b"answer")
    assert (checked.kind, checked.codec, checked.answer) == (KIND_OF[command], CODEC_COMMANDS, b"answer")
    assert stored.commands(checked.kind, checked.codec, checked.body) == [wanted]
