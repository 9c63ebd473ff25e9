"""Users of files: what is read of them, and that whatever can be read can be applied."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contract import portable_rest, rows, stored, users
from app.contract.errors import ObjectRefusedError, RefusedError
from app.domain import sizes, times
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.imported import ImportedUser
from app.domain.profile import CHANNEL_EMAIL
from app.domain.reasons import INVALID_NAME, INVALID_VALUE
from app.domain.state import State
from tests.api import objects
from tests.domain.builders import state_of
from tests.fuzz.size import cases

Json = dict[str, Any]
BRAZE_ID = "5eea769d45bb2e1467418f92"
MAY = times.parse("2026-05-10T21:04:00Z") or 0

#: As Braze shows one (user export, all fields).
FOREIGN: Json = {
    "created_at": "2026-05-10 21:04:00.000 UTC",
    "external_id": "A8i3mkd99",
    "user_aliases": [{"alias_name": "user_123", "alias_label": "amplitude_id"}],
    "appboy_id": BRAZE_ID,
    "braze_id": BRAZE_ID,
    "random_bucket": 2365,
    "first_name": "Jane",
    "email": "Jane@Example.com",
    "dob": "1980-12-21T00:00:00.000Z",
    "home_city": "Chicago",
    "country": "US",
    "language": "en",
    "time_zone": "Eastern Time (US & Canada)",
    "last_coordinates": [-87.6, 41.84],
    "phone": "+442071838750",
    "gender": "F",
    "custom_attributes": {"loyaltyId": "37c98b9d", "tags": ["a"], "since": "2026-01-01T00:00:00Z", "none": None},
    "custom_events": [
        {"name": "Loyalty", "first": "2026-06-28T17:02:43.032Z", "last": "2026-06-28T17:02:43.032Z", "count": 1}
    ],
    "purchases": [
        {"name": "item_40834", "first": "2026-09-05T03:45:50.540Z", "last": "2026-10-05T03:45:50.540Z", "count": 3}
    ],
    "total_revenue": 65.25,
    "push_subscribe": "opted_in",
    "push_opted_in_at": "2026-05-11T21:26:31.000Z",
    "email_subscribe": "unsubscribed",
    "email_unsubscribed_at": "2026-05-12T21:04:00Z",
    "devices": [{"model": "iPhone 15", "os": "iOS 17", "carrier": None, "device_id": "312ef2c1", "idfa": None}],
    "push_tokens": [
        {
            "app": "MovieCanon",
            "platform": "iOS",
            "token": "12345abcd",
            "device_id": "312ef2c1",
            "notifications_enabled": True,
        }
    ],
    "apps": [
        {
            "name": "MovieCanon",
            "platform": "iOS",
            "version": "3.29.0",
            "sessions": "1129",
            "first_used": "2026-05-10T21:04:00Z",
            "last_used": "2026-10-01T04:35:00Z",
        }
    ],
    "campaigns_received": [
        {
            "name": "Spring",
            "last_received": "2026-06-07T18:09:06Z",
            "engaged": {"opened_email": True},
            "converted": False,
        }
    ],
    "canvases_received": [{"name": "Welcome", "api_canvas_id": "c-1", "last_entered": "2026-06-07T18:09:06Z"}],
    "cards_clicked": [{"name": "Loyalty"}],
    "uninstalled_at": "2026-10-07T00:00:00Z",
}


def test_a_user_of_braze() -> None:
    us = {text: times.parse(text) for text in ("2026-06-07T18:09:06Z", "2026-10-01T04:35:00Z", "2026-10-07T00:00:00Z")}
    moment, used, gone = us.values()
    command = users.read(FOREIGN)
    assert command.ignored == []
    assert command.identifier == (1, "", "A8i3mkd99")
    assert command.user == ImportedUser(
        external_id="A8i3mkd99",
        braze_id=BRAZE_ID,
        aliases={"amplitude_id": "user_123"},
        created_us=MAY,
        random_bucket=2365,
        fields={
            "first_name": "Jane",
            "email": "jane@example.com",
            "country": "US",
            "language": "en",
            "time_zone": "Eastern Time (US & Canada)",
            "home_city": "Chicago",
            "gender": "F",
            "dob": "1980-12-21",
            "current_location": [-87.6, 41.84],
            "phone": "+442071838750",
            "phone_raw": "+442071838750",
        },
        custom={"loyaltyId": "37c98b9d", "tags": ["a"], "since": "2026-01-01T00:00:00Z"},
        events={"Loyalty": [1, *[times.parse("2026-06-28T17:02:43.032Z")] * 2]},  # type: ignore[list-item]
        purchases={
            "item_40834": [3, times.parse("2026-09-05T03:45:50.540Z"), times.parse("2026-10-05T03:45:50.540Z")]  # type: ignore[list-item]
        },
        revenue_cents=6_525,
        bought=(3, times.parse("2026-09-05T03:45:50.540Z"), times.parse("2026-10-05T03:45:50.540Z")),
        sessions=(1_129, MAY, used),
        recorded=[(CHANNEL_EMAIL, "", "unsubscribed", times.parse("2026-05-12T21:04:00Z"))],
        states={"push_subscribe": ["opted_in", times.parse("2026-05-11T21:26:31Z")]},
        devices={"312ef2c1": {"model": "iPhone 15", "os": "iOS 17"}},
        tokens={
            "12345abcd": {"app": "MovieCanon", "platform": "iOS", "device_id": "312ef2c1", "enabled": True, "at": MAY}
        },
        apps={
            "MovieCanon": {
                "name": "MovieCanon",
                "platform": "iOS",
                "version": "3.29.0",
                "sessions": 1_129,
                "first_used": MAY,
                "last_used": used,
            }
        },
        uninstalled_us=gone,
        campaigns={"Spring": {"message_received": moment, "email_opened": moment}},  # type: ignore[dict-item]
        canvases={"c-1": {"entered": moment}},  # type: ignore[dict-item]
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"email": "a@example.org"},
        {"external_id": ""},
        {"braze_id": "short"},
        [],
        1,
        {"external_id": "a", "apps": {"0": 1}},
    ],
)
def test_refused(document: object) -> None:
    with pytest.raises(ObjectRefusedError):
        users.read(document)


@pytest.mark.parametrize(
    ("member", "value", "left_out"),
    [
        ("email", "no address", ("email", INVALID_VALUE)),
        ("dob", "yesterday", ("dob", INVALID_VALUE)),
        ("country", "Nowhere", ("country", INVALID_VALUE)),
        ("created_at", "soon", ("created_at", INVALID_VALUE)),
        ("random_bucket", 10_000, ("random_bucket", INVALID_VALUE)),
        ("braze_id", "not hex", ("braze_id", INVALID_VALUE)),
        ("custom_attributes", [1], ("custom_attributes", INVALID_VALUE)),
        ("custom_attributes", {"email": "x"}, ("email", INVALID_NAME)),
        ("custom_events", [{"name": "e", "first": "x", "last": "y", "count": 1}], ("custom_events", INVALID_VALUE)),
        ("purchases", [{"name": "", "count": 0}], ("purchases", INVALID_VALUE)),
        ("total_revenue", "1.5", ("total_revenue", INVALID_VALUE)),
        ("last_coordinates", [1], ("last_coordinates", INVALID_VALUE)),
        ("last_coordinates", ["a", "b"], ("current_location", INVALID_VALUE)),
        ("user_aliases", [{"alias_name": "n"}], ("user_aliases", INVALID_VALUE)),
        ("email_subscribe", "maybe", ("email_subscribe", INVALID_VALUE)),
        ("push_tokens", [{"app": "x"}], ("push_tokens", INVALID_VALUE)),
        ("devices", [{"model": "x"}], ("devices", INVALID_VALUE)),
        ("onefold", {"recorded": [[3, "", "x", 1]]}, ("onefold", INVALID_VALUE)),
        ("onefold", {"devices": {"devices": {"a/b": {"app": "a", "id": "c"}}}}, ("onefold", INVALID_VALUE)),
        ("onefold", {"devices": {"devices": {"a/b": {"id": "b"}}}}, ("onefold", INVALID_VALUE)),
        ("onefold", {"commerce": {"days": {"x": [1, 2, 3]}}}, ("onefold", INVALID_VALUE)),
        ("onefold", {"commerce": {"unbooked": {"XXX": "1e5"}}}, ("onefold", INVALID_VALUE)),
        ("onefold", {"recorded": [[1, "", "perhaps", 1]]}, ("onefold", INVALID_VALUE)),
    ],
)
def test_what_cannot_be_read_is_left_out(member: str, value: object, left_out: tuple[str, str]) -> None:
    command = users.read({"external_id": "a", member: value})
    assert left_out in command.ignored
    assert {name for name, _ in command.ignored} == {left_out[0]}


def test_an_attribute_may_be_as_deep_as_in_a_request() -> None:
    deep: object = "x"
    for _ in range(14):
        deep = {"a": deep}
    assert users.read({"external_id": "a", "custom_attributes": {"deep": deep}}).user.custom == {"deep": deep}


_members = st.dictionaries(
    st.sampled_from([*FOREIGN, "onefold", "facebook", "native_line_id"]), objects.values, max_size=6
)
_rest = st.dictionaries(st.sampled_from([*portable_rest.Rest.__annotations__]), objects.values, max_size=4)


@settings(deadline=None, max_examples=cases(40), suppress_health_check=[HealthCheck.too_slow])
@given(_members, _rest, st.booleans())
def test_what_can_be_read_can_be_applied(members: Json, rest: Json, overwrite: bool) -> None:
    """Twice, and onto a user who is there; the second time nothing changes, and sizes are right."""
    try:
        command = users.read(FOREIGN | members | ({"onefold": rest} if rest else {}), overwrite=overwrite)
    except ObjectRefusedError:
        return
    checked = users.checked([command])
    assert stored.commands(checked.kind, checked.codec, checked.body) == [command]
    state: State = state_of()
    for seq in (1, 2):
        state.changes = type(state.changes)()
        before = deepcopy(state.profiles)
        reduce(
            [Request(1, seq, 2 * 10**15, stored.commands(checked.kind, checked.codec, checked.body))], state, 1, b"s"
        )
        for one in state.profiles.values():
            assert one.size == sizes.of_profile(one)
            msgspec.json.encode(one)
    assert before == state.profiles


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (FOREIGN, "users"),
        ({"external_id": "a", "custom_attributes": {}}, "users"),
        ({"external_id": "a", "braze_id": "b"}, "users"),
        ({"external_id": "a", "tier": "gold"}, "attributes"),
        ({"external_id": "a", "name": "view", "time": "2026-01-01"}, "events"),
        ({"external_id": "a", "product_id": "p", "time": "2026-01-01", "price": 1}, "purchases"),
    ],
)
def test_what_a_row_is(document: Json, kind: str) -> None:
    assert rows.kind_of(document) == kind


def test_cells_of_a_table() -> None:
    """Known columns are fields, others custom attributes; an empty cell is no value."""
    cells = {"external_id": "7", "email": "a@example.org", "plan": "gold", "custom_attributes": '{"n":1}', "gender": ""}
    assert rows.of_cells(cells, None) == {
        "external_id": "7",
        "email": "a@example.org",
        "custom_attributes": {"plan": "gold", "n": 1},
    }


def test_cells_with_a_mapping() -> None:
    text = b"""{"external_id": "Id", "first_name": "Vorname", "total_revenue": "Umsatz",
        "custom_attributes.age": {"column": "Alter", "type": "integer"},
        "custom_attributes.ok": {"column": "OK", "type": "boolean"}}"""
    mapped = rows.read_mapping(text)
    cells = {"Id": "7", "Vorname": "Ada", "Alter": "36", "OK": "yes", "Umsatz": "1.5", "more": "x"}
    assert rows.of_cells(cells, mapped) == {
        "external_id": "7",
        "first_name": "Ada",
        "total_revenue": 1.5,
        "custom_attributes": {"age": 36, "ok": True},
    }
    with pytest.raises(ObjectRefusedError, match="'Alter' cannot be read as integer"):
        rows.of_cells({**cells, "Alter": "old"}, mapped)


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"nonsense": "x"}', b'{"email": {"column": "x", "type": "mail"}}'])
def test_bad_mappings(text: bytes) -> None:
    with pytest.raises(RefusedError):
        rows.read_mapping(text)
