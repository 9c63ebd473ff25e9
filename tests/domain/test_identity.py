"""Every row of the tables about identity: who is chosen, what happens, and what is told when nothing does."""

import pytest

from app.domain import sizes
from app.domain.changes import Counts
from app.domain.identifiers import identifiers_of
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_EMAIL,
    DEPRECATED,
    EMAIL,
    EXTERNAL,
    GLOBAL_CONTROL_GROUP,
    MARKED_FOR_DELETION,
    PHONE,
    Profile,
)
from app.domain.settings import ApplySettings
from tests.domain.world import NOTHING, START, Json, World

DUP = "dup@example.org"


@pytest.fixture
def world() -> World:
    return World()


# identify.md 4

TABLE: list[tuple[list[str], str | None]] = [
    (["identified"], "A"),
    (["unidentified"], None),
    (["most_recently_updated"], "A"),
    (["least_recently_updated"], "C"),
    (["unidentified", "most_recently_updated"], "B"),
    (["unidentified", "least_recently_updated"], "C"),
    (["identified", "most_recently_updated"], "A"),
    (["identified", "least_recently_updated"], "A"),
    (["most_recently_updated", "identified"], "A"),
    (["most_recently_updated", "unidentified"], None),
    (["least_recently_updated", "unidentified"], "C"),
    (["least_recently_updated", "identified"], None),
]


def three(world: World) -> None:
    """C, B, A have one address, and were last written in this order."""
    for name in ("C", "B"):
        world.alias(name, email=DUP, who=name)
    world.track(external_id="A", email=DUP, who="A")


@pytest.mark.parametrize(("rules", "chosen"), TABLE)
@pytest.mark.parametrize("path", ["identify", "merge", "delete"])
def test_prioritization(world: World, rules: list[str], chosen: str | None, path: str) -> None:
    three(world)
    before = world.facts()
    reason = "ambiguous" if rules == ["unidentified"] else "profile_not_found"
    who = {"email": "DUP@example.org", "prioritization": rules}
    if path == "identify":
        problems = world.do("/users/identify", {"emails_to_identify": [{"external_id": "new", **who}]})
        told = {"A": "identified_otherwise", None: reason}
        assert problems == ([("emails_to_identify", 0, "", told[chosen])] if chosen in told else [])
        if chosen in ("B", "C"):
            assert world.of("new").custom == {"who": chosen}
    elif path == "merge":
        world.track(external_id="keep", kept=True)
        before = world.facts()
        problems = world.do(
            "/users/merge",
            {"merge_updates": [{"identifier_to_merge": who, "identifier_to_keep": {"external_id": "keep"}}]},
        )
        assert problems == ([] if chosen else [("merge_updates", 0, "identifier_to_merge", reason)])
        assert world.of("keep").custom == ({"kept": True, "who": chosen} if chosen else {"kept": True})
    else:
        problems = world.do("/users/delete", {"email_addresses": [who]})
        assert problems == ([] if chosen else [("email_addresses", 0, "", reason)])
        left = {p.custom["who"] for p in world.state.profiles.values() if p.custom}
        assert left == {"A", "B", "C"} - {chosen}
    if chosen is None:
        assert world.facts() == before


def test_equal_recency_is_ambiguous_only_in_imported_data(world: World) -> None:
    three(world)
    for profile in world.state.profiles.values():
        profile.updated_us = profile.updated_index = 0
    who: Json = {"email": DUP, "prioritization": ["most_recently_updated"]}
    assert world.do("/users/delete", {"email_addresses": [who]}) == [("email_addresses", 0, "", "ambiguous")]
    who["prioritization"].append("identified")
    assert world.do("/users/delete", {"email_addresses": [who]}) == NOTHING
    assert {p.custom["who"] for p in world.state.profiles.values() if p.custom} == {"B", "C"}


# identify.md 5


def test_row_1_nobody(world: World) -> None:
    before = world.facts()
    assert world.identify("e", "nobody") == ["profile_not_found"]
    assert world.identify("e", "Nobody") == ["profile_not_found"]
    assert world.facts() == before


def test_row_2_an_unknown_external_id_is_set(world: World) -> None:
    world.alias("n", cart=3, email=DUP)
    profile = world.of_alias("n")
    assert profile is not None
    before = (profile.braze_id, profile.created_us, dict(profile.custom or {}), identifiers_of(profile))
    assert world.identify("e", "n") == []
    assert world.of("e") is profile is world.of_alias("n")
    keys = before[3] | {(EXTERNAL, "", "e")}
    assert (profile.braze_id, profile.created_us, profile.custom, identifiers_of(profile)) == (*before[:3], keys)
    assert (profile.updated_us, profile.updated_index) == (START + 4, 0)
    assert world.state.changes.counts.identified == 1


def test_row_3_a_label_conflict_changes_nothing(world: World) -> None:
    world.alias("web-b", a=1)
    world.track(external_id="q", b=1)
    world.do("/users/alias/new", {"user_aliases": [{"external_id": "q", "alias_label": "web", "alias_name": "web-a"}]})
    before = world.facts()
    assert world.identify("q", "web-b") == ["label_conflict"]
    assert world.identify("q", "web-b", merge_behavior="none") == ["label_conflict"]
    assert world.facts() == before


def test_row_3_heeds_only_the_label_that_was_named(world: World) -> None:
    """Other labels do not stand in the way, and e-mail has none; the alias with the external id stays.

    The other one reaches nobody from now on, which is told by its label (DECISIONS D70).
    """
    for kind in ("alias", "email"):
        world = World()
        world.track(external_id="q")
        world.alias("p-crm", "crm", email=DUP, a=1)
        world.do(
            "/users/alias/new", {"user_aliases": [{"external_id": "q", "alias_label": "web", "alias_name": "q-web"}]}
        )
        one = world.of_alias("p-crm", "crm")
        assert one is not None
        world.state.add_alias(one, "web", "p-web")
        if kind == "alias":
            assert world.identify("q", "p-crm", "crm") == ["alias_retired"]
        else:
            who = {"email": DUP, "prioritization": ["unidentified"]}
            told = world.do("/users/identify", {"emails_to_identify": [{"external_id": "q", **who}]})
            assert told == [("emails_to_identify", 0, "web", "alias_retired")]
        assert (world.of("q").core or {})["aliases"] == {"web": "q-web", "crm": "p-crm"}
        assert world.of_alias("p-web") is None


def test_row_4_both_exist(world: World) -> None:
    world.alias("g", color="green", lead=True)
    world.track(external_id="q", color="blue")
    assert world.identify("q", "g") == []
    assert world.custom() == {"q": {"color": "blue", "lead": True}}
    assert world.of_alias("g") is world.of("q")
    assert world.state.changes.counts == Counts(attributes=2, identified=1, merged=1)


def test_row_4_by_a_former_external_id(world: World) -> None:
    world.track(external_id="old", color="blue")
    rename(world, "old", "new")
    world.alias("g", lead=True)
    assert world.identify("old", "g") == []
    assert world.custom() == {"new": {"color": "blue", "lead": True}}


def test_row_5_again(world: World) -> None:
    world.alias("n")
    assert world.identify("e", "n") == []
    rename(world, "e", "f")
    before = world.facts()
    assert world.identify("e", "n") == world.identify("f", "n") == ["already_identified"]
    assert world.facts() == before


def test_row_6_somebody_else(world: World) -> None:
    world.alias("n")
    world.identify("e", "n")
    world.track(external_id="q")
    before = world.facts()
    assert world.identify("q", "n") == world.identify("another", "n") == ["identified_otherwise"]
    assert world.facts() == before


@pytest.mark.parametrize(
    ("flag", "reason"), [(GLOBAL_CONTROL_GROUP, "control_group"), (MARKED_FOR_DELETION, "marked_for_deletion")]
)
@pytest.mark.parametrize("side", ["alias", "external_id"])
def test_row_7_and_merge_leave_such_profiles_alone(world: World, flag: int, reason: str, side: str) -> None:
    world.alias("n")
    world.track(external_id="q")
    flagged = world.of("q") if side == "external_id" else world.of_alias("n")
    assert flagged is not None
    flagged.flags = flag
    before = world.facts()
    assert world.identify("q", "n") == [reason]
    assert world.merge({"external_id": "q"}, {"user_alias": {"alias_label": "web", "alias_name": "n"}}) == [
        ("", reason)
    ]
    assert world.facts() == before
    if side == "alias":
        assert world.identify("another", "n") == []  # row 2 combines nobody


def test_several_aliases_become_one_person(world: World) -> None:
    for label in ("web", "crm", "shop"):
        world.alias("n", label, **{label: 1})
    entries = [
        {"external_id": "e", "user_alias": {"alias_label": x, "alias_name": "n"}} for x in ("web", "crm", "shop")
    ]
    assert world.do("/users/identify", {"aliases_to_identify": entries}) == NOTHING
    assert world.custom() == {"e": {"web": 1, "crm": 1, "shop": 1}}
    assert (world.of("e").core or {})["aliases"] == {"web": "n", "crm": "n", "shop": "n"}


def test_one_label_twice_for_a_new_external_id(world: World) -> None:
    """The first entry makes the profile that the second one conflicts with."""
    world.alias("1")
    world.alias("2")
    entries = [{"external_id": "e", "user_alias": {"alias_label": "web", "alias_name": n}} for n in ("1", "2")]
    assert world.do("/users/identify", {"aliases_to_identify": entries}) == [
        ("aliases_to_identify", 1, "", "label_conflict")
    ]
    assert world.of_alias("1") is world.of("e")


def test_aliases_go_before_addresses(world: World) -> None:
    world.alias("n", email=DUP)
    who = {"email": DUP, "prioritization": ["unidentified"]}
    entries = {
        "emails_to_identify": [{"external_id": "by-email", **who}],
        "aliases_to_identify": [{"external_id": "by-alias", "user_alias": {"alias_label": "web", "alias_name": "n"}}],
    }
    assert world.do("/users/identify", entries) == [("emails_to_identify", 0, "", "profile_not_found")]
    assert world.of("by-alias").core == {"email": DUP, "aliases": {"web": "n"}}


@pytest.mark.parametrize("junk", ["null", "undefined", "[object Object]", " NaN "])
def test_junk_joins_nobody(world: World, junk: str) -> None:
    world.alias("n")
    world.alias(junk)
    world.track(external_id="q")
    before = world.facts()
    assert world.identify(junk, "n") == world.identify("q", junk) == ["junk_identifier"]
    by_junk = {"user_alias": {"alias_label": "web", "alias_name": junk}}
    assert (
        world.merge(by_junk, {"external_id": "q"})
        == world.merge({"external_id": "q"}, by_junk)
        == [("", "junk_identifier")]
    )
    assert world.facts() == before


# identify.md 6


def test_none_carries_names_only(world: World) -> None:
    world.alias("g", color="green", lead=True, email=DUP, first_name="Ana", date_of_last_session="2026-01-20")
    occurred = {"user_alias": {"alias_label": "web", "alias_name": "g"}, "time": "2026-11-01"}
    bought = {**occurred, "product_id": "mug", "currency": "USD", "price": 2}
    world.do("/users/track", {"events": [{**occurred, "name": "view"}], "purchases": [bought]})
    world.track(external_id="q", color="blue", email_subscribe="opted_in")
    before = world.of("q")
    kept = {name: getattr(before, name) for name in Profile.__slots__ if not name.startswith("updated")}
    assert world.identify("q", "g", merge_behavior="none") == []
    (merge_id,) = world.state.records
    kept["core"] = {**(before.core or {}), "aliases": {"web": "g"}, "merges": 1, "last_merge": merge_id}
    (after,) = world.state.profiles.values()
    kept["size"] = sizes.of_profile(after)
    assert {name: getattr(after, name) for name in Profile.__slots__ if not name.startswith("updated")} == kept
    assert world.state.holders((EMAIL, "", DUP)) == set()
    assert world.of_alias("g") is world.of("q") is after


# merge.md 1.2


def test_merges_that_do_nothing(world: World) -> None:
    three(world)
    world.alias("me")
    world.identify("me", "me")
    me, nobody = {"external_id": "me"}, {"external_id": "nobody"}
    many = {"email": DUP, "prioritization": ["unidentified"]}
    no_phone = {"phone": "12", "prioritization": ["unidentified"]}
    before = world.facts()
    keep, merged = "identifier_to_keep", "identifier_to_merge"
    assert world.merge(me, nobody) == [(keep, "profile_not_found")]
    assert world.merge(nobody, me) == world.merge(nobody, nobody) == [(merged, "profile_not_found")]
    assert world.merge(many, me) == [(merged, "ambiguous")]
    assert world.merge(me, many) == [(keep, "ambiguous")]
    assert world.merge(no_phone, no_phone) == [(merged, "invalid_identifier")]
    assert world.merge(me, no_phone) == [(keep, "invalid_identifier")]
    assert world.merge(me, me) == [("", "same_profile")]
    assert world.merge(me, {"user_alias": {"alias_label": "web", "alias_name": "me"}}) == [("", "same_profile")]
    assert world.facts() == before


def pairs(*names: str) -> Json:
    """`ab` merges a into b."""
    return {
        "merge_updates": [
            {"identifier_to_merge": {"external_id": n[0]}, "identifier_to_keep": {"external_id": n[1]}} for n in names
        ]
    }


@pytest.mark.parametrize(
    ("updates", "reasons", "left"),
    [
        (("ab", "bc"), [], {"c": {"n": 1}}),
        (("bc", "ab"), [(1, "identifier_to_keep")], {"a": {"n": 1}, "c": {"n": 1}}),
        (("ab", "ba"), [(1, "identifier_to_keep")], {"b": {"n": 1}, "c": {"n": 1}}),
        (("ab", "ac"), [(1, "identifier_to_merge")], {"b": {"n": 1}, "c": {"n": 1}}),
        (("ab", "bc", "ca"), [(2, "identifier_to_keep")], {"c": {"n": 1}}),
    ],
)
def test_chains_stars_and_cycles(
    world: World, updates: tuple[str, ...], reasons: list[tuple[int, str]], left: dict[str, Json]
) -> None:
    for name in "abc":
        world.track(external_id=name, n=1)
    expected = [("merge_updates", index, field, "profile_not_found") for index, field in reasons]
    assert world.do("/users/merge", pairs(*updates)) == expected
    assert world.custom() == left


def test_a_chain_of_fifty(world: World) -> None:
    for n in range(51):
        world.track(external_id=f"u{n}", **{f"a{n}": n})
    chain = [
        {"identifier_to_merge": {"external_id": f"u{n}"}, "identifier_to_keep": {"external_id": f"u{n + 1}"}}
        for n in range(50)
    ]
    assert world.do("/users/merge", {"merge_updates": chain}) == NOTHING
    assert world.custom() == {"u50": {f"a{n}": n for n in range(51)}}


def test_a_name_that_was_merged_away_is_free(world: World) -> None:
    world.track(external_id="a", n=1)
    world.track(external_id="b")
    world.do("/users/merge", pairs("ab"))
    world.track(external_id="a", n=2)
    assert world.custom() == {"a": {"n": 2}, "b": {"n": 1}}


# aliases.md 2 and 3


@pytest.mark.parametrize(
    ("entry_", "reason"),
    [
        ({"external_id": "q", "alias_label": "crm", "alias_name": "x"}, None),
        ({"external_id": "q", "alias_label": "web", "alias_name": "other"}, "label_taken"),
        ({"external_id": "q", "alias_label": "web", "alias_name": "q-web"}, "alias_taken"),
        ({"external_id": "q", "alias_label": "web", "alias_name": "taken"}, "alias_taken"),
        ({"external_id": "nobody", "alias_label": "crm", "alias_name": "x"}, "profile_not_found"),
        ({"alias_label": "web", "alias_name": "free"}, None),
        ({"alias_label": "crm", "alias_name": "taken"}, None),
        ({"alias_label": "web", "alias_name": "taken"}, "alias_taken"),
    ],
)
def test_new_alias(world: World, entry_: Json, reason: str | None) -> None:
    world.track(external_id="q")
    world.do("/users/alias/new", {"user_aliases": [{"external_id": "q", "alias_label": "web", "alias_name": "q-web"}]})
    world.alias("taken")
    before, number = world.facts(), len(world.state.profiles)
    problems = world.do("/users/alias/new", {"user_aliases": [entry_]})
    assert problems == ([("user_aliases", 0, "", reason)] if reason else [])
    if reason:
        assert world.facts() == before
        return
    owner = world.of_alias(entry_["alias_name"], entry_["alias_label"])
    assert owner is not None
    assert owner.external_id == entry_.get("external_id")
    assert len(world.state.profiles) == number + ("external_id" not in entry_)
    assert (owner.updated_us, owner.updated_index) == (START + 2 * world.seq, 0)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("n", "m", None),
        ("nobody", "m", "alias_not_found"),
        ("n", "taken", "alias_taken"),
        ("n", "n", "alias_unchanged"),
    ],
)
def test_alias_update(world: World, old: str, new: str, reason: str | None) -> None:
    world.alias("n")
    world.alias("taken")
    one, before = world.of_alias("n"), world.facts()
    update = {"alias_label": "web", "old_alias_name": old, "new_alias_name": new}
    problems = world.do("/users/alias/update", {"alias_updates": [update]})
    assert problems == ([("alias_updates", 0, "", reason)] if reason else [])
    if reason:
        assert world.facts() == before
    else:
        assert (world.of_alias("m"), world.of_alias("n")) == (one, None)


# export-delete-rename.md 3 and 4


def test_delete_frees_every_name_and_forgets_consent_with_the_last_holder(world: World) -> None:
    address = (CHANNEL_EMAIL, DUP, "")
    world.alias("n", email=DUP, email_subscribe="unsubscribed")
    world.track(external_id="twin", email=DUP)
    assert world.do("/users/delete", {"user_aliases": [{"alias_label": "web", "alias_name": "n"}]}) == NOTHING
    assert world.state.address(address) is not None
    rename(world, "twin", "now")
    assert world.do("/users/delete", {"external_ids": ["twin", "twin"]}) == [
        ("external_ids", 1, "", "profile_not_found")
    ]
    assert world.facts() == ({}, {}, {})
    assert world.state.changes.counts.deleted == 2
    world.track(external_id="twin", email=DUP)
    assert world.of("twin").custom == {}
    assert world.state.address(address) is None


def test_delete_then_track_then_delete(world: World) -> None:
    for _ in range(2):
        world.track(external_id="a", n={"inc": 1})
        assert world.of("a").custom == {"n": 1}
        assert world.do("/users/delete", {"external_ids": ["a"]}) == NOTHING
    assert world.facts() == ({}, {}, {})


def rename(world: World, *names: str) -> list[tuple[int, str]]:
    """(index, reason)."""
    items = [
        {"current_external_id": current, "new_external_id": new}
        for current, new in zip(names[::2], names[1::2], strict=True)
    ]
    return [(p[1], p[3]) for p in world.do("/users/external_ids/rename", {"external_id_renames": items})]


def test_rename(world: World) -> None:
    world.track(external_id="a", n=1)
    world.track(external_id="x")
    written = (world.of("a").updated_us, world.of("a").updated_index)
    assert rename(world, "a", "b", "b", "c") == []
    one = world.of("c")
    assert (one.external_id, (one.core or {})["deprecated"]) == ("c", ["a", "b"])
    assert world.of("a") is world.of("b") is one
    assert (one.updated_us, one.updated_index) == written
    assert rename(world, "a", "d", "nobody", "d", "x", "a", "x", "c", "x", "x", "c", "a") == [
        (0, "external_id_deprecated"),
        (1, "external_id_not_found"),
        (2, "external_id_taken"),
        (3, "external_id_taken"),
        (4, "external_id_unchanged"),
        (5, "external_id_taken"),
    ]
    world.track(external_id="a", n=2)  # resolves, and makes nobody
    assert world.custom() == {"c": {"n": 2}, "x": {}}


def test_no_profile_gets_more_identifiers_than_it_may_have(world: World) -> None:
    world.state.settings = ApplySettings(max_identifiers_per_profile=3)
    alias = {"external_id": "c", "alias_label": "web", "alias_name": "w"}
    world.track(external_id="a")
    assert rename(world, "a", "b", "b", "c", "c", "d") == [(2, "too_many_identifiers")]
    assert world.do("/users/alias/new", {"user_aliases": [alias]}) == [("user_aliases", 0, "", "too_many_identifiers")]
    world.alias("n", email=DUP, phone="+14155550123")
    assert world.identify("e", "n") == ["too_many_identifiers"]
    assert sorted(key for key, pids in world.state.index.items() if pids and key[0] != BRAZE) == [
        (EXTERNAL, "", "c"),
        (DEPRECATED, "", "a"),
        (DEPRECATED, "", "b"),
        (ALIAS, "web", "n"),
        (EMAIL, "", DUP),
        (PHONE, "", "+14155550123"),
    ]
    assert remove(world, "a") == rename(world, "c", "d") == []


def remove(world: World, *ids: str) -> list[tuple[int, str]]:
    return [(p[1], p[3]) for p in world.do("/users/external_ids/remove", {"external_ids": list(ids)})]


def test_remove(world: World) -> None:
    world.track(external_id="a", n=1)
    rename(world, "a", "b", "b", "c")
    assert remove(world, "c", "nobody", "a", "a") == [
        (0, "external_id_not_deprecated"),
        (1, "external_id_not_found"),
        (3, "external_id_not_found"),
    ]
    assert world.state.owner((EXTERNAL, "", "a")) is None
    assert (world.of("c").core or {})["deprecated"] == ["b"]
    assert remove(world, "b") == []
    assert world.of("c").core == {}
    assert not [key for key, pids in world.state.index.items() if key[0] == DEPRECATED and pids]
    world.track(external_id="a", n=2)
    assert world.custom() == {"a": {"n": 2}, "c": {"n": 1}}
    assert rename(world, "c", "b") == []
