"""What a user of a file does to a profile: it is made, or filled, once."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from app.domain import reasons, sizes
from app.domain.apply import reduce
from app.domain.commands import ImportUser, Request
from app.domain.identifiers import identifiers_of
from app.domain.imported import ImportedUser
from app.domain.imports import keys
from app.domain.profile import (
    ALIAS,
    CHANNEL_EMAIL,
    DEVICE,
    EXTERNAL,
    SPAM_BLOCKED,
    TEST_USER,
    TOKEN,
    AddressState,
    Profile,
)
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.domain.times import DAY
from tests.domain.builders import profile, state_of

NOW = 20_000 * DAY
BRAZE_ID = "5eea769d45bb2e1467418f92"


def rich() -> ImportedUser:
    """A user with something of everything."""
    return ImportedUser(
        external_id="ada",
        braze_id=BRAZE_ID,
        aliases={"crm": "7", "web": "w"},
        former=["old"],
        created_us=5,
        created_from="sdk",
        random_bucket=4_711,
        flags=TEST_USER,
        fields={
            "first_name": "Ada",
            "email": "ada@example.org",
            "phone": "+34600123450",
            "phone_raw": "600 123 450",
            "current_location": [1.5, 2],
        },
        custom={"tier": "gold", "tags": ["a"], "home": {"city": "Vigo"}, "since": "2026-01-01T00:00:00Z"},
        events={"view": [3, 10, 20]},
        purchases={"pen": [2, 11, 21]},
        revenue_cents=1_250,
        bought=(2, 11, 21),
        sessions=(4, 1, 30),
        recorded=[(CHANNEL_EMAIL, "", "unsubscribed", 6), (CHANNEL_EMAIL, "~spam", "marked", 7)],
        states={"push_subscribe": ["opted_in", 8]},
        devices={"app/d": {"app": "app", "id": "d", "model": "x", "last_seen": 9}, "e": {"model": "y"}},
        tokens={"t": {"app": "app", "platform": "ios", "at": 9}},
        apps={"app": {"name": "Shop", "sessions": 4, "first_used": 1, "last_used": 30}},
        active={"": [19_990, 5]},
        uninstalled_us=12,
        received={"email_opened": 13},
        campaigns={"spring": {"email_received": 14}},
        canvases={"welcome": {"entered": 15}},
        history={"m": {"at": 16, "kind": "email_opened"}},
        commerce={
            "placed": 2,
            "last_order": 17,
            "carts": {"c": {"currency": "USD", "updated": 18, "lines": {}}},
            "days": {"19990": [1, 2, 3]},
            "unbooked": {"KWD": "2.5"},
        },
    )


def command(user: ImportedUser, *, overwrite: bool = False) -> ImportUser:
    return ImportUser(0, keys(ImportUser(0, (EXTERNAL, "", ""), user))[0], deepcopy(user), overwrite)


def run(state: State, *users: ImportedUser, overwrite: bool = False, seq: int = 7) -> list[tuple[str, str]]:
    """(field, reason) of what had no effect."""
    state.changes = type(state.changes)()
    reduce([Request(1, seq, NOW, [command(user, overwrite=overwrite) for user in users])], state, 1, b"s")
    for one in state.profiles.values():
        assert one.size == sizes.of_profile(one)
        for key in identifiers_of(one):
            assert state.index[key] == {one.pid} or key[0] in (4, 5)
    return [(problem.field, problem.reason) for problem in state.changes.problems]


def only(state: State) -> Profile:
    [one] = state.profiles.values()
    return one


def test_a_new_user() -> None:
    state = state_of()
    assert run(state, rich()) == []
    one = only(state)
    assert one == Profile(
        pid=one.pid,
        braze_id=BRAZE_ID,
        created_us=5,
        updated_us=NOW,
        updated_index=0,
        external_id="ada",
        created_from="sdk",
        random_bucket=4_711,
        flags=TEST_USER,
        revenue_cents=1_250,
        purchase_count=2,
        first_purchase_us=11,
        last_purchase_us=21,
        session_count=4,
        first_session_us=1,
        last_session_us=30,
        size=one.size,
        core={
            "deprecated": ["old"],
            "aliases": {"crm": "7", "web": "w"},
            "first_name": "Ada",
            "email": "ada@example.org",
            "phone": "+34600123450",
            "phone_raw": "600 123 450",
            "current_location": [1.5, 2],
            "push_subscribe": ["opted_in", 8],
        },
        custom={
            "tier": "gold",
            "tags": ["a"],
            "home": {"city": "Vigo"},
            "since": {"$time": "2026-01-01T00:00:00.000Z"},
        },
        events={"view": [3, 10, 20]},
        purchases={"pen": [2, 11, 21]},
        devices={
            "devices": rich().devices,
            "tokens": rich().tokens,
            "apps": rich().apps,
            "active": rich().active,
            "uninstalled_at": 12,
        },
        messages={
            "received": {"email_opened": 13},
            "campaigns": {"spring": {"email_received": 14}},
            "canvases": {"welcome": {"entered": 15}},
            "history": {"m": {"at": 16, "kind": "email_opened"}},
        },
        commerce=rich().commerce,
    )
    assert state.addresses[CHANNEL_EMAIL, "ada@example.org", ""] == AddressState("unsubscribed", 6)
    assert state.addresses[CHANNEL_EMAIL, "ada@example.org", "~spam"] == AddressState("marked", 7)
    assert dict(state.changes.written) == {(1, "view", ""): 3, (2, "pen", ""): 2} | {
        (3, name, type_): 1
        for name, type_ in (("tier", "string"), ("tags", "array"), ("home", "object"), ("since", "time"))
    }


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_same_user_again_changes_nothing(overwrite: bool) -> None:
    """Neither a value nor the time of the last write, whatever bounds what is kept."""
    state = state_of()
    state.settings = ApplySettings(message_max=2, max_devices_per_profile=2)
    user = rich()
    user.history = {f"m{n}": {"at": n, "kind": "email_opened"} for n in range(5)}
    user.campaigns = {f"c{n}": {"email_received": n} for n in range(5)}
    user.devices = {f"app/{n}": {"app": "app", "id": str(n), "last_seen": n} for n in range(5)}
    user.tokens = {f"t{n}": {"at": n} for n in range(5)}
    run(state, user, overwrite=overwrite)
    before, recorded = deepcopy(only(state)), dict(state.addresses)
    messages: Any = before.messages
    devices: Any = before.devices
    assert sorted(messages["history"]) == ["m3", "m4"]
    assert sorted(devices["devices"]) == ["app/3", "app/4"]
    assert run(state, user, overwrite=overwrite, seq=8) == []
    assert only(state) == before
    assert state.addresses == recorded
    assert (state.changes.sections, state.changes.addresses, dict(state.changes.written)) == ({}, {}, {})


#: Of one value: where it is told and where it lies, before, told, and what comes of it by default and with overwrite.
VALUES = [
    ("fields", "first_name", "A", "B", "A", "B"),
    ("fields", "first_name", None, "B", "B", "B"),
    ("fields", "email", "a@example.org", "b@example.org", "a@example.org", "b@example.org"),
    ("custom", "tier", "gold", "iron", "gold", "iron"),
    ("custom", "tier", None, "iron", "iron", "iron"),
    ("custom", "tags", ["a"], ["b"], ["a"], ["b"]),
    ("events", "view", [3, 10, 20], [5, 12, 30], [5, 10, 30], [5, 12, 30]),
    ("events", "view", [3, 10, 20], [2, 8, 15], [3, 8, 20], [2, 8, 15]),
    ("purchases", "pen", None, [2, 8, 15], [2, 8, 15], [2, 8, 15]),
    ("", "revenue_cents", 500, 300, 500, 300),
    ("", "revenue_cents", 300, 500, 500, 500),
    ("flags", "flags", 0, TEST_USER, TEST_USER, TEST_USER),
    ("flags", "flags", TEST_USER, 0, TEST_USER, TEST_USER),
    ("states", "push_subscribe", ["opted_in", 1], ["unsubscribed", 2], ["opted_in", 1], ["unsubscribed", 2]),
]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("part", "name", "before", "told", "filled", "overwritten"), VALUES)
def test_values(part: str, name: str, before: Any, told: Any, filled: Any, overwritten: Any, overwrite: bool) -> None:
    here: dict[str, Any] = {"external_id": "ada"}
    if before is not None:
        here |= {part: {name: before}} if part in ("custom", "events", "purchases") else {name: before}
    state = state_of(profile(1, **here))
    user = ImportedUser(external_id="ada")
    if part in ("", "flags"):
        setattr(user, name, told)
    else:
        getattr(user, part)[name] = told
    run(state, user, overwrite=overwrite)
    one = only(state)
    found = getattr(one, part)[name] if part in ("custom", "events", "purchases") else None
    if part in ("", "flags"):
        found = getattr(one, name)
    elif part in ("fields", "states"):
        found = one.core[name]  # type: ignore[index]
    wanted = overwritten if overwrite else filled
    assert found == wanted
    assert bool(state.changes.sections) is (wanted != before)
    assert (one.updated_us == NOW) is (wanted != before)


def test_what_stays_of_an_existing_user() -> None:
    state = state_of(profile(1, external_id="ada", random_bucket=3, first_name="A"))
    run(state, rich(), overwrite=True)
    one = only(state)
    assert (one.braze_id, one.created_us, one.created_from, one.random_bucket) == (f"{1:024x}", 1, "rest", 3)
    assert one.core["first_name"] == "Ada"  # type: ignore[index]


@pytest.mark.parametrize(
    ("here", "told", "pid"),
    [
        ({"external_id": "ada"}, {"external_id": "ada", "braze_id": BRAZE_ID}, 1),
        ({"deprecated": ["ada"], "external_id": "new"}, {"external_id": "ada"}, 1),
        ({}, {"external_id": "ada", "braze_id": f"{1:024x}"}, 1),
        ({"external_id": "else"}, {"external_id": "ada", "braze_id": f"{1:024x}"}, 1),
        ({"aliases": {"crm": "7"}}, {"external_id": "ada", "aliases": {"crm": "7"}}, 1),
        ({"aliases": {"crm": "7"}, "external_id": "else"}, {"external_id": "ada", "aliases": {"crm": "7"}}, None),
        ({"aliases": {"crm": "7"}, "external_id": "ada"}, {"aliases": {"crm": "7"}}, 1),
        ({"email": "a@example.org"}, {"external_id": "ada", "fields": {"email": "a@example.org"}}, None),
    ],
)
def test_whom_it_finds(here: dict[str, Any], told: dict[str, Any], pid: int | None) -> None:
    state = state_of(profile(1, **here))
    run(state, ImportedUser(**told))
    assert len(state.profiles) == (1 if pid else 2)


def test_nothing_is_taken_from_others() -> None:
    """An identifier that somebody else has is left out with its reason, and so is a device."""
    other = profile(
        2,
        external_id="old",
        aliases={"crm": "7"},
        devices={"devices": {"app/d": {"app": "app", "id": "d"}}, "tokens": {"t": {"at": 1}}},
    )
    before = deepcopy(other)
    state = state_of(profile(1, external_id="ada", aliases={"web": "mine"}), other)
    assert run(state, rich()) == [
        ("former_external_ids", reasons.EXTERNAL_ID_TAKEN),
        ("crm", reasons.ALIAS_TAKEN),
        ("web", reasons.LABEL_TAKEN),
        ("devices", reasons.DEVICE_TAKEN),
        ("tokens", reasons.DEVICE_TAKEN),
    ]
    assert state.profiles[2] == before
    for key in ((ALIAS, "crm", "7"), (EXTERNAL, "", "old"), (TOKEN, "", "t"), (DEVICE, "app", "d")):
        assert state.index[key] == {2}


def test_a_blocked_profile_takes_nothing() -> None:
    state = state_of(profile(1, external_id="ada", flags=SPAM_BLOCKED))
    before = deepcopy(only(state))
    assert run(state, rich()) == [("", reasons.PROFILE_BLOCKED)]
    assert only(state) == before


def test_a_full_profile_stays_as_it_is() -> None:
    state = state_of(profile(1, external_id="ada"))
    state.settings = ApplySettings(max_profile_bytes=only(state).size)
    found = run(state, replace(rich(), aliases={}, former=[], recorded=[], fields={"first_name": "A"}))
    assert {reason for _, reason in found} == {reasons.PROFILE_FULL}
    assert only(state).size <= state.settings.max_profile_bytes + 200  # states are always kept


def test_consent_of_an_address_stays() -> None:
    """What the person said here goes before what the file says, unless it is to be overwritten."""
    said = {(CHANNEL_EMAIL, "ada@example.org", ""): AddressState("opted_in", 3)}
    for overwrite, wanted in ((False, "opted_in"), (True, "unsubscribed")):
        state = state_of(profile(1, external_id="ada", email="ada@example.org"), addresses=dict(said))
        run(state, rich(), overwrite=overwrite)
        recorded = state.addresses[CHANNEL_EMAIL, "ada@example.org", ""]
        assert recorded is not None
        assert recorded.state == wanted


def test_consent_of_an_address_that_the_profile_does_not_get() -> None:
    state = state_of(profile(1, external_id="ada", email="other@example.org"))
    run(state, rich())
    assert [address for address, state_ in state.addresses.items() if state_ is not None] == []


def test_moments_to_come_are_now() -> None:
    state = state_of()
    later = NOW + DAY
    run(
        state,
        ImportedUser(external_id="a", created_us=later, events={"e": [1, later, later]}, sessions=(1, later, later)),
    )
    one = only(state)
    assert (one.created_us, one.events, one.last_session_us) == (NOW, {"e": [1, NOW, NOW]}, NOW)
