"""Subscription groups and states over HTTP, on both stores."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from app.contract import subscription_groups as groups
from app.contract import subscriptions as contract
from app.domain import times
from app.domain.profile import CHANNEL_EMAIL, CHANNEL_PHONE
from app.store import erasure
from app.store import subscription_groups as store
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.reference import equal_to_the_reference

NEWS, TEXTS = "news", "texts"
ADA, BOB = "ada@example.org", "bob@example.org"
NUMBER, OTHER = "+34600123450", "+34600123451"
DAY_US = times.DAY


def get(workspace: Workspace, path: str, **query: object) -> Answer:
    asked = f"{path}?{urlencode(query, doseq=True)}" if query else path
    return workspace.service.send("GET", asked, None, workspace.headers(), workspace.key)


def put(workspace: Workspace, path: str, body: object) -> Answer:
    return workspace.service.send("PUT", path, json.dumps(body).encode(), workspace.headers(), workspace.key)


def made(workspace: Workspace) -> Workspace:
    for group_id, channel in ((NEWS, "email"), (TEXTS, "sms")):
        body = {"id": group_id, "name": group_id.title(), "channel": channel}
        assert workspace.post("/v1/subscription_groups", body).status == 201
    return workspace


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """Two groups; ada twice under one address, bob, and nobody's: a profile without any."""
    people = [
        {"external_id": "ada", "email": ADA, "phone": NUMBER},
        {"external_id": "twin", "email": ADA},
        {"external_id": "bob", "email": BOB, "phone": OTHER},
        {"external_id": "plain"},
    ]
    assert made(workspace).track({"attributes": people}).status == 201
    return workspace


def statuses(workspace: Workspace, group: str, **who: object) -> Json:
    answer = get(workspace, "/subscription/status/get", subscription_group_id=group, **who)
    assert answer.status == 200
    assert "X-Onefold-Stale" not in answer.headers
    found: Json = answer.body["status"]
    return found


def set_one(workspace: Workspace, group: str, state: str, **who: object) -> Answer:
    asked = {"subscription_group_id": group, "subscription_state": state, **who}
    return workspace.post("/subscription/status/set", asked)


# Groups


def test_groups_are_made_renamed_and_listed(workspace: Workspace) -> None:
    given = workspace.post("/v1/subscription_groups", {"name": "News", "channel": "email", "id": NEWS})
    assert given.status == 201
    assert {**given.body, "created_at": ""} == {
        "id": NEWS,
        "name": "News",
        "channel": "email",
        "created_at": "",
        "message": "success",
    }
    own = workspace.post("/v1/subscription_groups", {"name": "Texts", "channel": "whatsapp"})
    assert len(own.body["id"]) == 36
    assert workspace.post("/v1/subscription_groups", {"name": "x", "channel": "sms", "id": NEWS}).status == 409
    assert put(workspace, "/v1/subscription_groups", {"id": NEWS, "name": "Weekly"}).body["name"] == "Weekly"
    assert put(workspace, "/v1/subscription_groups", {"id": "none", "name": "x"}).status == 404
    listed = get(workspace, "/v1/subscription_groups").body["subscription_groups"]
    assert [(group["id"], group["name"], group["channel"]) for group in listed] == [
        (NEWS, "Weekly", "email"),
        (own.body["id"], "Texts", "whatsapp"),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], groups.BAD_BODY),
        ({"name": "n", "channel": "email", "more": 1}, groups.BAD_BODY),
        ({"name": "n"}, groups.BAD_CHANNEL),
        ({"name": "n", "channel": "post"}, groups.BAD_CHANNEL),
        ({"name": "n", "channel": ["email"]}, groups.BAD_CHANNEL),
        ({"name": " ", "channel": "email"}, groups.BAD_NAME),
        ({"name": "n" * 256, "channel": "email"}, groups.BAD_NAME),
        ({"name": 1, "channel": "email"}, groups.BAD_NAME),
        ({"name": "n", "channel": "email", "id": ""}, groups.BAD_ID),
        ({"name": "n", "channel": "email", "id": "~n"}, groups.BAD_ID),
        ({"name": "n", "channel": "email", "id": "n" * 256}, groups.BAD_ID),
        ({"name": "n", "channel": "email", "id": {}}, groups.BAD_ID),
    ],
)
def test_malformed_groups(workspace: Workspace, body: object, message: str) -> None:
    answer = workspace.post("/v1/subscription_groups", body)
    assert (answer.status, answer.message) == (400, message)


def test_a_workspace_has_so_many_groups_at_most(service: Service) -> None:
    workspace = service.workspace()
    most = service.settings.max_subscription_groups
    for n in range(most):
        assert workspace.post("/v1/subscription_groups", {"name": f"{n}", "channel": "sms"}).status == 201
    answer = workspace.post("/v1/subscription_groups", {"name": "one more", "channel": "sms"})
    assert (answer.status, answer.message) == (400, groups.TOO_MANY)
    assert service.workspace().post("/v1/subscription_groups", {"name": "x", "channel": "sms"}).status == 201


# Setting and asking


@pytest.mark.parametrize("who", [{"external_id": "ada"}, {"external_id": ["ada"]}, {"email": ADA.upper()}])
def test_a_state_reaches_everybody_with_the_address(members: Workspace, who: Json) -> None:
    assert set_one(members, NEWS, "unsubscribed", **who).body == {"message": "success"}
    assert statuses(members, NEWS, external_id=["ada", "twin", "bob", "plain", "nobody"]) == {
        "ada": "Unsubscribed",
        "twin": "Unsubscribed",
        "bob": "Unknown",
        "plain": "Unknown",
        "nobody": "Unknown",
    }
    assert statuses(members, NEWS, email=[ADA, BOB]) == {ADA: "Unsubscribed", BOB: "Unknown"}
    assert statuses(members, TEXTS, external_id="ada") == {"ada": "Unknown"}
    equal_to_the_reference(members)


def test_groups_of_numbers_go_by_number(members: Workspace) -> None:
    assert set_one(members, TEXTS, "subscribed", phone=[NUMBER]).status == 201
    assert set_one(members, TEXTS, "unsubscribed", external_id=["bob", "plain"]).status == 201
    assert statuses(members, TEXTS, phone=[NUMBER, OTHER]) == {NUMBER: "Subscribed", OTHER: "Unsubscribed"}
    found = statuses(members, TEXTS, external_id=["ada", "twin", "bob", "plain"])
    assert found == {"ada": "Subscribed", "twin": "Unknown", "bob": "Unsubscribed", "plain": "Unsubscribed"}
    # asked by another kind of address: of several people the most restrictive state
    assert statuses(members, TEXTS, email=[ADA, BOB]) == {ADA: "Subscribed", BOB: "Unsubscribed"}
    equal_to_the_reference(members)


def test_a_state_without_an_address_moves_to_it(members: Workspace) -> None:
    assert set_one(members, NEWS, "unsubscribed", external_id="plain").status == 201
    assert statuses(members, NEWS, external_id="plain") == {"plain": "Unsubscribed"}
    members.track({"attributes": [{"external_id": "plain", "email": "plain@example.org"}]})
    assert statuses(members, NEWS, email="plain@example.org") == {"plain@example.org": "Unsubscribed"}
    members.track({"attributes": [{"external_id": "plain", "email": None}]})
    assert statuses(members, NEWS, external_id="plain") == {"plain": "Unsubscribed"}
    equal_to_the_reference(members)


def test_several_groups_in_one_call(members: Workspace) -> None:
    body = {
        "subscription_groups": [
            {"subscription_group_id": NEWS, "subscription_state": "subscribed", "external_ids": ["ada", "nobody"]},
            {"subscription_group_id": TEXTS, "subscription_state": "unsubscribed", "external_id": "bob"},
            {"subscription_group_id": NEWS, "subscription_state": "unsubscribed", "emails": [BOB], "phones": []},
        ]
    }
    answer = members.post("/v2/subscription/status/set", body)
    assert (answer.status, answer.body) == (201, {"message": "success"})
    assert members.skipped(answer.request_id) == [("subscription_groups", 0, "", "profile_not_found")]
    found = get(members, "/subscription/user/status", **{"external_id[]": ["bob", "ada", "nobody"]})
    assert found.body == {
        "users": [
            {
                "email": BOB,
                "phone": OTHER,
                "external_id": "bob",
                "subscription_groups": [
                    {"id": NEWS, "name": "News", "channel": "email", "status": "Unsubscribed"},
                    {"id": TEXTS, "name": "Texts", "channel": "sms", "status": "Unsubscribed"},
                ],
            },
            {
                "email": ADA,
                "phone": NUMBER,
                "external_id": "ada",
                "subscription_groups": [{"id": NEWS, "name": "News", "channel": "email", "status": "Subscribed"}],
            },
        ],
        "total_count": 2,
        "message": "success",
    }
    equal_to_the_reference(members)


def test_pages_of_people(members: Workspace) -> None:
    everybody = get(members, "/subscription/user/status", external_id="bob", email=ADA, phone=OTHER, offset="")
    ids = [user["external_id"] for user in everybody.body["users"]]
    assert ids == ["bob", "ada", "twin"]
    for offset in range(4):
        page = get(members, "/subscription/user/status", external_id="bob", email=ADA, limit=1, offset=offset)
        assert [user["external_id"] for user in page.body["users"]] == ids[offset : offset + 1]
        assert page.body["total_count"] == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, contract.BAD_STATE),
        ({"subscription_state": "opted_in"}, contract.BAD_STATE),
        ({"subscription_state": ["subscribed"]}, contract.BAD_STATE),
        ({"subscription_state": "subscribed"}, contract.NO_SELECTOR),
        ({"subscription_state": "subscribed", "external_id": [], "email": None, "phone": ""}, contract.NO_SELECTOR),
        ({"subscription_state": "subscribed", "email": ADA, "phone": NUMBER}, contract.NOT_BOTH),
        ({"subscription_state": "subscribed", "external_id": ["x"] * 51}, contract.TOO_MANY),
        ({"subscription_state": "subscribed", "external_id": "ada"}, contract.INVALID_GROUP),
        ({"subscription_group_id": "none", "subscription_state": "subscribed", "email": ADA}, contract.INVALID_GROUP),
        ({"subscription_group_id": {}, "subscription_state": "subscribed", "email": ADA}, contract.INVALID_GROUP),
        ({"subscription_group_id": TEXTS, "subscription_state": "subscribed", "email": ADA}, contract.INVALID_GROUP),
        ({"subscription_group_id": NEWS, "subscription_state": "subscribed", "phone": NUMBER}, contract.INVALID_GROUP),
        ({"subscription_group_id": TEXTS, "subscription_state": "subscribed", "phone": "600"}, "'phone' must be E.164"),
    ],
)
def test_malformed_calls(members: Workspace, body: Json, message: str) -> None:
    answer = members.post("/subscription/status/set", body)
    assert (answer.status, answer.message) == (400, message)
    if "E.164" not in message:
        answer = members.post("/v2/subscription/status/set", {"subscription_groups": [body]})
        assert (answer.status, answer.message) == (400, message)


@pytest.mark.parametrize("sent", [None, [], {}, "x", [1], [{}] * 51])
def test_malformed_lists_of_groups(members: Workspace, sent: object) -> None:
    answer = members.post("/v2/subscription/status/set", {"subscription_groups": sent})
    assert (answer.status, answer.message) == (400, contract.BAD_GROUPS)


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("status/get", {"subscription_group_id": "none", "external_id": "a"}, contract.INVALID_GROUP),
        ("status/get", {"external_id": "a"}, contract.INVALID_GROUP),
        ("status/get", {"subscription_group_id": NEWS}, contract.NO_SELECTOR),
        ("status/get", {"subscription_group_id": NEWS, "email": ADA, "phone": NUMBER}, contract.NOT_BOTH),
        ("status/get", {"subscription_group_id": NEWS, "email": [f"{n}@x.org" for n in range(51)]}, contract.TOO_MANY),
        ("user/status", {}, contract.NO_SELECTOR),
        ("user/status", {"external_id": "a", "limit": "101"}, "'limit' must be a number from 1 to 100"),
        ("user/status", {"external_id": "a", "offset": "-1"}, "'limit' must be a number from 1 to 100"),
    ],
)
def test_malformed_questions(members: Workspace, path: str, query: Json, message: str) -> None:
    answer = get(members, f"/subscription/{path}", **query)
    assert answer.status == 400
    assert answer.message.startswith(message)


# Through /users/track


def test_states_in_attributes(members: Workspace) -> None:
    """As the source document has it, with groups of its ids."""
    sent = {
        "external_id": "bob",
        "email": "new@example.org",
        "subscription_groups": [
            {"subscription_group_id": NEWS, "subscription_state": "unsubscribed"},
            {"subscription_group_id": TEXTS, "subscription_state": "subscribed", "use_double_opt_in_logic": True},
        ],
    }
    answer = members.track(
        {"attributes": [sent, {"external_id": "made", "subscription_groups": sent["subscription_groups"]}]}
    )
    assert answer.body == {"attributes_processed": 2, "message": "success"}
    assert statuses(members, NEWS, email="new@example.org") == {"new@example.org": "Unsubscribed"}
    assert statuses(members, NEWS, external_id=["bob", "made"]) == {"bob": "Unsubscribed", "made": "Unsubscribed"}
    assert statuses(members, TEXTS, external_id=["bob", "made"]) == {"bob": "Subscribed", "made": "Subscribed"}
    equal_to_the_reference(members)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, "BAD_SUBSCRIPTION_GROUP_ARRAY"),
        ([{}] * 51, "BAD_SUBSCRIPTION_GROUP_ARRAY"),
        ([1], "BAD_SUBSCRIPTION_GROUP_HASH"),
        ([{"subscription_group_id": NEWS}], "BAD_SUBSCRIPTION_GROUP_HASH"),
        ([{"subscription_group_id": NEWS, "subscription_state": "x"}], "BAD_SUBSCRIPTION_GROUP_STATE"),
        ([{"subscription_group_id": "no", "subscription_state": "subscribed"}], "BAD_SUBSCRIPTION_GROUP_ID"),
        (
            [{"subscription_group_id": "no", "subscription_state": "subscribed", "channel": CHANNEL_EMAIL}],
            "BAD_SUBSCRIPTION_GROUP_ID",
        ),
    ],
)
def test_malformed_states_in_attributes(members: Workspace, sent: object, code: str) -> None:
    good = {
        "external_id": "ada",
        "subscription_groups": [{"subscription_group_id": NEWS, "subscription_state": "subscribed"}],
    }
    answer = members.track({"attributes": [good, {"external_id": "bob", "subscription_groups": sent}]})
    assert answer.status == 201
    assert [entry["code"] for entry in answer.body["errors"]] == [code]
    assert statuses(members, NEWS, external_id=["ada", "bob"]) == {"ada": "Subscribed", "bob": "Unknown"}


def test_a_group_that_another_process_made_is_known_at_once(service: Service) -> None:
    """Without any cache that would have to be told: here it is made past this process's service."""
    workspace = service.workspace()
    assert set_one(workspace, "late", "subscribed", email=ADA).message == contract.INVALID_GROUP

    store.create(service.database, workspace.id, store.Group("late", "Late", "email", 1), 10)
    assert set_one(workspace, "late", "subscribed", email=ADA).status == 201
    body = {
        "external_id": "x",
        "subscription_groups": [{"subscription_group_id": "late", "subscription_state": "subscribed"}],
    }
    assert "errors" not in workspace.track({"attributes": [body]}).body


# Addresses that nobody has


def recorded(workspace: Workspace) -> dict[tuple[int, str, str], tuple[str, int | None]]:
    """{address and topic: (state, in how many days it is forgotten)}"""
    return {
        address: (
            state.state,
            None if state.forget_us is None else round((state.forget_us - state.changed_us) / DAY_US),
        )
        for address, state in workspace.state().addresses.items()
        if state is not None
    }


def test_states_of_addresses_that_nobody_has(members: Workspace) -> None:
    late = "late@example.org"
    assert set_one(members, NEWS, "unsubscribed", email=late).status == 201
    assert members.post("/email/status", {"email": late, "subscription_state": "unsubscribed"}).status == 201
    answer = set_one(members, TEXTS, "subscribed", phone="+34600123459", use_double_opt_in_logic=True)
    assert members.skipped(answer.request_id) == [("phone", 0, "", "profile_not_found")]
    assert recorded(members) == {
        (CHANNEL_EMAIL, late, NEWS): ("unsubscribed", 30),
        (CHANNEL_EMAIL, late, ""): ("unsubscribed", 30),
    }
    members.track({"attributes": [{"external_id": "late", "email": late}]})
    assert members.user("late")["email_subscribe"] == "unsubscribed"
    assert recorded(members) == {
        (CHANNEL_EMAIL, late, NEWS): ("unsubscribed", None),
        (CHANNEL_EMAIL, late, ""): ("unsubscribed", None),
    }
    # The last holder goes to another address, and takes the states along.
    members.track({"attributes": [{"external_id": "late", "email": "later@example.org"}]})
    assert recorded(members)[CHANNEL_EMAIL, late, ""] == ("unsubscribed", 30)
    assert recorded(members)[CHANNEL_EMAIL, "later@example.org", ""] == ("unsubscribed", None)
    equal_to_the_reference(members)
    members.post("/users/delete", {"external_ids": ["late"]})
    assert {address[1] for address in recorded(members)} == {late}
    equal_to_the_reference(members)


def test_what_nobody_inherits_is_deleted(members: Workspace) -> None:
    assert set_one(members, NEWS, "unsubscribed", email=["late@example.org", ADA]).status == 201
    database = members.service.database
    for days, left in ((29, {ADA, "late@example.org"}), (31, {ADA})):
        # Of all workspaces.
        assert bool(erasure.forget_addresses(database, times_now() + days * DAY_US)) is (days == 31)
        assert {address[1] for address in recorded(members)} == left
        equal_to_the_reference(members)


def test_a_deleted_person_takes_the_addresses_of_merged_profiles_along(members: Workspace) -> None:
    """Also of profiles that were merged earlier, by merges that can be undone."""
    states: list[Any] = [{"subscription_group_id": NEWS, "subscription_state": "unsubscribed"}]
    people = [{"external_id": f"m{n}", "email": f"m{n}@example.org", "subscription_groups": states} for n in range(3)]
    members.track({"attributes": people})
    for n in (0, 1):
        pair = {"identifier_to_merge": {"external_id": f"m{n}"}, "identifier_to_keep": {"external_id": f"m{n + 1}"}}
        assert members.post("/users/merge", {"merge_updates": [pair]}).status == 202
    assert {address[1]: days for address, (_, days) in recorded(members).items()} == {
        "m0@example.org": 30,
        "m1@example.org": 30,
        "m2@example.org": None,
    }
    equal_to_the_reference(members)
    members.post("/users/delete", {"external_ids": ["m2"]})
    assert recorded(members) == {}
    equal_to_the_reference(members)


@pytest.mark.parametrize("state", ["subscribed", "unsubscribed", "opted_in"])
def test_global_states(members: Workspace, state: str) -> None:
    answer = members.post("/email/status", {"email": [ADA, "none@example.org"], "subscription_state": state})
    assert (answer.status, answer.body) == (201, {"message": "success"})
    assert [members.user(who)["email_subscribe"] for who in ("ada", "twin", "bob")] == [state, state, "subscribed"]
    equal_to_the_reference(members)


@pytest.mark.parametrize(
    "body",
    [
        {"email": ADA},
        {"email": ADA, "subscription_state": "x"},
        {"subscription_state": "subscribed"},
        {"email": [], "subscription_state": "subscribed"},
        {"email": "no address", "subscription_state": "subscribed"},
        {"email": [ADA] * 51, "subscription_state": "subscribed"},
        [],
    ],
)
def test_malformed_global_states(members: Workspace, body: object) -> None:
    assert members.post("/email/status", body).status == 400


def test_a_number_that_cannot_be_assigned_is_kept_as_it_is(members: Workspace) -> None:
    assert set_one(members, TEXTS, "unsubscribed", phone="+12223334444").status == 201
    assert recorded(members) == {(CHANNEL_PHONE, "+12223334444", TEXTS): ("unsubscribed", 30)}
