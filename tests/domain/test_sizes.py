"""A profile has a bound: what would make a full one larger is left out, and everything else goes through (D73)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.domain import sizes
from app.domain.apply import reduce
from app.domain.commands import Request, UndoMerge
from app.domain.profile import EXTERNAL, Profile
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.domain.times import DAY
from app.domain.values import size
from tests.domain.applying import apply
from tests.domain.shop import P, Q, Shop
from tests.domain.world import START, World

Json = dict[str, Any]
TIME = "2026-11-20T00:00:00Z"
BOUND = 3_000

#: What the profile has before it is full.
BEFORE: Json = {
    "attributes": [
        {
            "external_id": "a",
            "email": "a@example.org",
            "first_name": "Ana",
            "tier": "gold",
            "n": 9,
            "seen": "2026-01-05",
            "list": ["x", "y"],
            "o": {"k": 1, "text": "x"},
            "pets": [{"id": 1, "name": "Rex"}],
        }
    ],
    "events": [{"external_id": "a", "name": "known", "time": TIME}],
    "purchases": [{"external_id": "a", "product_id": "known", "currency": "USD", "price": 1, "time": TIME}],
}


@pytest.mark.parametrize(
    "value",
    [
        {"$time": "2026-11-20T00:00:00.000Z"},
        {"$time": 'quo"ted'},
        {"$time": "ü\n"},
        {"$time": ["x"]},
        {"$time": 1},
        {"time": "ü"},
        {"k": {"$time": "2026-11-20T00:00:00.000Z"}},
        [{"$time": "x"}],
        'ü"',
        12,
        1.5,
        True,
    ],
    ids=repr,
)
def test_a_value_counts_the_bytes_of_its_json(value: object) -> None:
    assert size(value) == len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


#: An object for the full profile, and the fields of it that are left out.
CASES: dict[str, tuple[str, Json, list[str]]] = {
    "a new attribute": ("attributes", {"new": 1}, ["new"]),
    "a longer text": ("attributes", {"tier": "golden"}, ["tier"]),
    "a text of the same length": ("attributes", {"tier": "blue"}, []),
    "a shorter text": ("attributes", {"tier": "b"}, []),
    "a number with more digits": ("attributes", {"n": 123_456_789}, []),
    "a sum": ("attributes", {"n": {"inc": 1}}, []),
    "a text becomes a number": ("attributes", {"tier": 1, "new": 2}, ["tier", "new"]),
    "a deletion makes room": ("attributes", {"pets": None, "new": 1}, []),
    "an element more": ("attributes", {"list": {"add": ["z"]}}, ["list"]),
    "an element less": ("attributes", {"list": {"remove": ["x"]}}, []),
    "a time becomes another one": ("attributes", {"seen": "2027-01-05T19:20:30Z"}, []),
    "a text becomes a time": ("attributes", {"tier": TIME}, ["tier"]),
    "a larger list": ("attributes", {"list": ["x", "yy"]}, ["list"]),
    "a member more": ("attributes", {"_merge_objects": True, "o": {"z": 1}}, ["o"]),
    "a member less": ("attributes", {"_merge_objects": True, "o": {"k": None}}, []),
    "a member of the same length": ("attributes", {"_merge_objects": True, "o": {"k": 2}}, []),
    "an object more": ("attributes", {"pets": {"$add": [{"id": 2}]}}, ["pets"]),
    "an object less": ("attributes", {"pets": {"$remove": [{"$identifier_key": "id", "$identifier_value": 1}]}}, []),
    "a longer name": ("attributes", {"first_name": "Anastasia"}, ["first_name"]),
    "a shorter name": ("attributes", {"first_name": "A"}, []),
    "another field": ("attributes", {"home_city": "Paris", "dob": "1990-01-01"}, ["home_city", "dob"]),
    "identifiers": ("attributes", {"email": "longer.address@example.org", "phone": "+34600123456"}, []),
    "consent": ("attributes", {"push_subscribe": "opted_in", "email_subscribe": "unsubscribed"}, []),
    "a known event": ("events", {"name": "known", "time": TIME}, []),
    "a new event": ("events", {"name": "new", "time": TIME}, ["name"]),
    "a known product": (
        "purchases",
        {"product_id": "known", "currency": "USD", "price": 1, "quantity": 100, "time": TIME},
        [],
    ),
    "a new product": ("purchases", {"product_id": "new", "currency": "USD", "price": 1, "time": TIME}, ["product_id"]),
    "revenue without a rate": (
        "purchases",
        {"product_id": "known", "currency": "EUR", "price": 1, "time": TIME},
        ["price"],
    ),
}


def full() -> State:
    """A workspace whose only profile is as large as one may be."""
    state = apply(BEFORE)
    (profile,) = state.profiles.values()
    assert profile.custom is not None
    rest = BOUND - profile.size - sizes.of_name("rest")
    profile.custom["rest"] = "x" * (rest - 2)
    profile.size += sizes.of_name("rest") + rest
    assert profile.size == sizes.of_profile(profile) == BOUND
    state.settings = ApplySettings(max_profile_bytes=BOUND)
    state.changes = type(state.changes)()
    return state


@pytest.mark.parametrize("what", CASES)
def test_only_what_makes_a_full_profile_larger_is_left_out(what: str) -> None:
    array, sent, fields = CASES[what]
    state = apply({array: [{"external_id": "a", **sent}]}, state=full())
    (profile,) = state.profiles.values()
    expected = "no_usd_rate" if fields == ["price"] else "profile_full"
    assert [(p.field, p.reason) for p in state.changes.problems] == [(field, expected) for field in fields]
    assert profile.size == sizes.of_profile(profile)
    # The same on a profile with room, for what is not left out.
    roomy = full()
    roomy.settings = ApplySettings()
    kept = {name: value for name, value in sent.items() if name not in fields}
    if array == "attributes":
        apply({array: [{"external_id": "a", **kept}]}, state=roomy)
        assert list(roomy.profiles.values()) == [profile]
    elif array == "purchases":
        assert (profile.purchase_count, profile.revenue_cents) == (
            1 + sent.get("quantity", 1),
            100 * (1 + (sent.get("quantity", 1) if sent["currency"] == "USD" else 0)),
        )


def test_updates_in_place_are_counted_too() -> None:
    """The first merge of a request copies the object, and the others change the copy."""
    state = full()
    (profile,) = state.profiles.values()
    assert profile.custom is not None
    sent = [{"external_id": "a", "_merge_objects": True, "o": {"text": text}} for text in ("", "y", "yy", "x")]
    apply({"attributes": sent}, state=state)
    assert [(p.index, p.field, p.reason) for p in state.changes.problems] == [(2, "o", "profile_full")]
    assert profile.custom["o"] == {"k": 1, "text": "x"}
    assert profile.size == sizes.of_profile(profile) == BOUND


def test_a_cart_is_part_of_the_profile_and_orders_always_count() -> None:
    shop = Shop()
    shop.cart("a", P, Q)
    shop.order("a", "order_placed", 9)
    profile = shop.of("a")
    assert profile.size == sizes.of_profile(profile)
    shop.state.settings = replace(shop.state.settings, max_profile_bytes=profile.size)
    more = {"product_id": "r", "product_name": "Bag", "variant_id": "x", "price": 1, "quantity": 1}
    sent: Json = {"cart_id": "c", "products": [more], "action": "add"}
    assert shop.event("a", "cart_updated", **sent) == [("products", "profile_full")]
    assert shop.lines("a") == {"p": 2, "q": 1}
    shop.cart("a", {**Q, "quantity": 100}, action="add")
    shop.cart("a", P, Q, action="remove")
    assert shop.lines("a") == {"q": 100}
    shop.cart("a", more, action="add")
    shop.state.settings = replace(shop.state.settings, max_profile_bytes=1)
    assert shop.order("a", "order_placed", 1, ago=3) == []
    assert shop.order("a", "order_cancelled", 1) == [("name", "profile_full")]
    assert (shop.commerce("a")["placed"], shop.commerce("a")["cancelled"], len(shop.commerce("a")["days"])) == (2, 1, 2)
    assert profile.revenue_cents == 1_000
    assert profile.size == sizes.of_profile(profile)


def test_a_profile_beyond_the_bound_may_shrink() -> None:
    """One that an earlier version made."""
    state = full()
    state.settings = ApplySettings(max_profile_bytes=BOUND // 3)
    (profile,) = state.profiles.values()
    apply({"attributes": [{"external_id": "a", "tier": "g", "n": 10, "list": ["x", "y", "z"]}]}, state=state)
    assert [(p.field, p.reason) for p in state.changes.problems] == [("list", "profile_full")]
    assert profile.custom is not None
    assert (profile.custom["tier"], profile.custom["n"]) == ("g", 10)
    assert profile.size == sizes.of_profile(profile) == BOUND - 3


def profile_of(world: World, external_id: str) -> Profile:
    found = world.state.owner((EXTERNAL, "", external_id))
    assert found is not None
    return found


@pytest.mark.parametrize("room", [-1, 0])
@pytest.mark.parametrize("how", ["merge", "identify"])
def test_a_merge_may_reach_twice_the_bound_and_an_undo_anything(room: int, how: str) -> None:
    def made(bound: int) -> World:
        world = World()
        world.track(external_id="k", text="x" * 200, both="k")
        world.alias("g", other="y" * 200, both="m")
        world.state.settings = ApplySettings(max_profile_bytes=bound)
        return world

    def combine(world: World) -> list[str]:
        if how == "identify":
            return world.identify("k", "g", merge_behavior="merge")
        guest = {"user_alias": {"alias_label": "web", "alias_name": "g"}}
        return [reason for _, reason in world.merge(guest, {"external_id": "k"})]

    roomy = made(8_000_000)
    assert combine(roomy) == []
    merged = profile_of(roomy, "k").size
    assert merged == sizes.of_profile(profile_of(roomy, "k"))
    # Keys of what holds the values, and the id of the merge, are not counted before.
    wanted = merged - sizes.of_name("aliases") - sizes.of_member("last_merge", "0" * 24)
    bound = -(-wanted // 2) if room == 0 else (wanted - 1) // 2
    world = made(bound)
    before = world.facts()
    assert combine(world) == ([] if room == 0 else ["profile_full"])
    if room < 0:
        assert world.facts() == before
        return
    world.state.settings = ApplySettings(max_profile_bytes=1)
    (merge_id,) = world.state.records
    reduce([Request(0, 99, START + DAY, [UndoMerge(0, merge_id)])], world.state, 1, b"k")
    assert world.state.changes.problems == []
    assert len(world.state.profiles) == 2
    assert all(one.size == sizes.of_profile(one) for one in world.state.profiles.values())
