"""What is told of addresses and messages, the lists that show it, and what merges make of it, on both stores."""

from typing import Any
from urllib.parse import urlencode

import pytest

from app.contract import address_events as contract
from app.contract import address_lists, messages
from app.domain.profile import CHANNEL_EMAIL, HARD_BOUNCED, SPAM
from app.services import workspaces
from app.store import keys
from tests.api.harness import Answer, Json, Workspace, times_now
from tests.api.reference import equal_to_the_reference

GONE, BACK = "gone@example.org", "back@example.org"
NUMBER, OTHER = "+34600123450", "+34600123451"
AT, LATER = "2026-02-10T09:15:00Z", "2026-02-11T10:00:00Z"
SHOWN, SHOWN_LATER = "2026-02-10 09:15:00 +0000", "2026-02-11 10:00:00 +0000"


def get(workspace: Workspace, path: str, **query: object) -> Answer:
    asked = f"{path}?{urlencode(query, doseq=True)}"
    return workspace.service.send("GET", asked, None, workspace.headers(), workspace.key)


def told(workspace: Workspace, *events: Json) -> Answer:
    return workspace.post("/v1/address_events", {"events": list(events)})


def listed(workspace: Workspace, path: str, **query: object) -> list[Json]:
    answer = get(workspace, path, **query)
    assert answer.status == 200, answer.text
    found: list[Json] = answer.body["sms" if path.startswith("/sms") else "emails"]
    return found


def test_bounces(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a", "email": GONE}]})
    answer = told(
        workspace,
        {"type": "hard_bounce", "email": GONE.upper(), "time": AT},
        {"type": "hard_bounce", "email": BACK, "time": LATER},
        {"type": "hard_bounce", "email": GONE, "time": "2026-02-09T00:00:00Z"},  # an older one changes nothing
    )
    assert answer.body == {"events_processed": 3, "message": "success"}
    both = [{"email": BACK, "hard_bounced_at": SHOWN_LATER}, {"email": GONE, "hard_bounced_at": SHOWN}]
    days = {"start_date": "2026-02-10", "end_date": "2026-02-11"}
    assert listed(workspace, "/email/hard_bounces", **days) == both
    assert listed(workspace, "/email/hard_bounces", **days, limit=1, offset=1) == both[1:]
    assert listed(workspace, "/email/hard_bounces", **{**days, "end_date": "2026-02-10"}) == both[1:]
    assert listed(workspace, "/email/hard_bounces", email=GONE) == both[1:]
    assert listed(workspace, "/email/hard_bounces", **{"email[]": [GONE, BACK, "none@example.org"]}) == both
    assert workspace.post("/email/bounce/remove", {"email": [GONE]}).body == {"message": "success"}
    assert listed(workspace, "/email/hard_bounces", **days) == both[:1]
    assert listed(workspace, "/email/unsubscribes", **days) == []
    equal_to_the_reference(workspace)


def test_unsubscribes(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a", "email": GONE}, {"external_id": "b", "email": BACK}]})
    told(
        workspace,
        {"type": "unsubscribe", "email": GONE, "time": AT},
        {"type": "unsubscribe", "email": BACK, "time": LATER},
    )
    assert [workspace.user(who)["email_subscribe"] for who in "ab"] == ["unsubscribed"] * 2
    both = [{"email": BACK, "unsubscribed_at": SHOWN_LATER}, {"email": GONE, "unsubscribed_at": SHOWN}]
    days = {"start_date": "2026-02-01", "end_date": "2026-02-28"}
    assert listed(workspace, "/email/unsubscribes", **days) == both
    assert listed(workspace, "/email/unsubscribes", **days, sort_direction="asc") == both[::-1]
    workspace.post("/email/status", {"email": BACK, "subscription_state": "opted_in"})
    assert listed(workspace, "/email/unsubscribes", **days) == both[1:]
    workspace.post("/users/delete", {"external_ids": ["a"]})
    assert listed(workspace, "/email/unsubscribes", **days) == []
    equal_to_the_reference(workspace)


@pytest.mark.parametrize("path", ["/email/blocklist", "/email/blacklist"])
def test_blocked_addresses(workspace: Workspace, path: str) -> None:
    workspace.track({"attributes": [{"external_id": "a", "email": GONE}]})
    assert workspace.post(path, {"email": GONE}).body == {"message": "success"}
    assert workspace.user("a")["email_subscribe"] == "unsubscribed"
    assert [entry["email"] for entry in listed(workspace, "/email/hard_bounces", email=GONE)] == [GONE]
    assert [entry["email"] for entry in listed(workspace, "/email/unsubscribes", email=GONE)] == [GONE]
    equal_to_the_reference(workspace)


def test_marks_belong_to_the_address(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": who, "email": GONE} for who in "ab"]})
    told(workspace, {"type": "spam", "email": GONE}, {"type": "hard_bounce", "email": GONE, "time": AT})
    workspace.track({"attributes": [{"external_id": "a", "email": BACK}]})
    marks = {address for address, state in workspace.state().addresses.items() if state is not None}
    assert marks == {(CHANNEL_EMAIL, GONE, SPAM), (CHANNEL_EMAIL, GONE, HARD_BOUNCED)}
    workspace.post("/email/spam/remove", {"email": [GONE]})
    workspace.track({"attributes": [{"external_id": "b", "marked_email_as_spam_at": AT}]})
    assert workspace.state().address((CHANNEL_EMAIL, GONE, SPAM)) is not None
    workspace.post("/email/spam/remove", {"email": GONE})
    assert workspace.state().address((CHANNEL_EMAIL, GONE, SPAM)) is None
    workspace.post("/users/delete", {"external_ids": ["b"]})
    assert not any(workspace.state().addresses.values())
    equal_to_the_reference(workspace)


def test_invalid_numbers(workspace: Workspace) -> None:
    told(
        workspace,
        {"type": "invalid_phone", "phone": NUMBER, "time": AT},
        {"type": "invalid_phone", "phone": OTHER, "time": LATER, "reason": "deactivated"},
    )
    both = [
        {"phone": OTHER, "invalid_detected_at": SHOWN_LATER, "reason": "deactivated"},
        {"phone": NUMBER, "invalid_detected_at": SHOWN, "reason": "provider_error"},
    ]
    days = {"start_date": "2026-02-10", "end_date": "2026-02-11"}
    path = "/sms/invalid_phone_numbers"
    assert listed(workspace, path, **days) == both
    assert listed(workspace, path, **days, reason="deactivated") == both[:1]
    assert listed(workspace, path, **{"phone_numbers[]": [NUMBER, "+34600123459"]}, **days) == both[1:]
    assert workspace.post(f"{path}/remove", {"phone_numbers": [OTHER]}).body == {"message": "success"}
    assert listed(workspace, path, **days) == both[1:]
    equal_to_the_reference(workspace)


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/email/hard_bounces", {}, address_lists.NO_DATES),
        ("/email/hard_bounces", {"start_date": "2026-02-10"}, address_lists.NO_DATES),
        ("/email/unsubscribes", {"end_date": "2026-02-10"}, address_lists.NO_DATES),
        ("/email/unsubscribes", {"start_date": "2026-02-30", "end_date": "2026-03-01"}, address_lists.BAD_DATES),
        ("/email/unsubscribes", {"start_date": "2026-W07-2", "end_date": "2026-03-01"}, address_lists.BAD_DATES),
        ("/email/unsubscribes", {"start_date": "2026-03-02", "end_date": "2026-03-01"}, address_lists.BAD_DATES),
        ("/email/unsubscribes", {"email": GONE, "sort_direction": "up"}, address_lists.BAD_DIRECTION),
        ("/email/unsubscribes", {"email": GONE, "limit": "501"}, "'limit' must be a number from 1 to 500"),
        ("/email/unsubscribes", {"email": [f"{n}@x.org" for n in range(51)]}, "The max number"),
        ("/sms/invalid_phone_numbers", {}, address_lists.NO_DATES_OR_NUMBERS),
        ("/sms/invalid_phone_numbers", {"phone_numbers[]": NUMBER, "reason": "x"}, address_lists.BAD_REASON),
    ],
)
def test_malformed_questions(workspace: Workspace, path: str, query: Json, message: str) -> None:
    answer = get(workspace, path, **query)
    assert answer.status == 400
    assert answer.message.startswith(message)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/email/bounce/remove", {}),
        ("/email/bounce/remove", {"email": []}),
        ("/email/spam/remove", {"email": "no address"}),
        ("/email/blocklist", {"email": [GONE] * 51}),
        ("/email/blacklist", []),
        ("/sms/invalid_phone_numbers/remove", {"phone_numbers": ["1"]}),
        ("/sms/invalid_phone_numbers/remove", {}),
        ("/v1/address_events", {}),
        ("/v1/address_events", {"events": [{}] * 501}),
        ("/v1/address_events", {"events": [{"type": "x"}]}),
        ("/v1/messages", {"messages": []}),
        ("/v1/messages", {"messages": [1]}),
    ],
)
def test_malformed_bodies(workspace: Workspace, path: str, body: object) -> None:
    answer = workspace.post(path, body)
    assert answer.status == 400


def test_malformed_events_are_named_and_the_others_taken(workspace: Workspace) -> None:
    sent: list[Any] = [
        {"type": "hard_bounce", "email": GONE},
        {"type": "bounce", "email": GONE},
        {"type": "hard_bounce", "email": "x"},
        {"type": "hard_bounce", "email": GONE, "time": "never"},
        {"type": "spam", "email": GONE, "reason": "deactivated"},
        {"type": "invalid_phone", "phone": "600"},
        {"type": "uninstall"},
        {"type": "uninstall", "external_id": "nobody"},
    ]
    answer = told(workspace, *sent)
    assert answer.body["events_processed"] == 2
    assert answer.errors == [("events", index) for index in range(1, 7)]
    assert answer.types[0] == contract.BAD_TYPE
    assert workspace.skipped(answer.request_id) == [("events", 7, "", "profile_not_found")]


def test_malformed_messages_are_named_and_the_others_taken(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a"}]})
    good = {"external_id": "a", "type": "received", "channel": "email"}
    sent: list[Any] = [
        good,
        {**good, "type": "sent"},
        {**good, "channel": "post"},
        {**good, "type": "entered", "canvas_id": "c"},
        {"external_id": "a", "type": "entered"},
        {**good, "id": ""},
        {**good, "campaign_id": "c" * 256},
        {"type": "received", "channel": "email"},
        {**good, "external_id": "nobody"},
    ]
    answer = workspace.post("/v1/messages", {"messages": sent})
    assert answer.body["messages_processed"] == 2
    assert answer.errors == [("messages", index) for index in range(1, 8)]
    assert answer.types[0] == messages.BAD_TYPE
    assert workspace.skipped(answer.request_id) == [("messages", 8, "", "profile_not_found")]
    assert get(workspace, "/v1/messages", external_id="nobody").status == 404


def known(workspace: Workspace, who: str) -> Json:
    body = get(workspace, "/v1/messages", external_id=who).body
    return {name: value for name, value in body.items() if name not in ("braze_id", "message")}


def message(who: str, kind: str, at: str, **more: object) -> Json:
    return {"external_id": who, "type": kind, "time": at, **({} if kind == "entered" else {"channel": "email"}), **more}


ISO, ISO_LATER = "2026-02-10T09:15:00.000Z", "2026-02-11T10:00:00.000Z"


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        # last_X_at: the more recent
        (
            [message("k", "received", AT, id="1")],
            [message("m", "received", LATER, id="2")],
            {"last": {"email_received": ISO_LATER}},
        ),
        (
            [message("k", "opened", LATER, id="1")],
            [message("m", "opened", AT, id="2"), message("m", "clicked", AT, id="3")],
            {"last": {"email_clicked": ISO, "email_opened": ISO_LATER}},
        ),
        # campaigns, and canvases (workflows): for each the more recent dates
        (
            [message("k", "received", AT, campaign_id="c", id="1")],
            [
                message("m", "received", LATER, campaign_id="c", id="2"),
                message("m", "opened", AT, campaign_id="d", id="3"),
            ],
            {
                "campaigns": [
                    {"id": "c", "last": {"email_received": ISO_LATER}},
                    {"id": "d", "last": {"email_opened": ISO}},
                ]
            },
        ),
        (
            [message("k", "entered", LATER, canvas_id="v")],
            [message("m", "entered", AT, canvas_id="v"), message("m", "entered", AT, canvas_id="w")],
            {"canvases": [{"id": "v", "last": {"entered": ISO_LATER}}, {"id": "w", "last": {"entered": ISO}}]},
        ),
        # history: all of both
        (
            [message("k", "received", AT, id="1"), message("k", "received", AT, id="2")],
            [message("m", "clicked", LATER, id="3", campaign_id="c"), message("m", "received", AT, id="2")],
            {
                "messages": [
                    {"id": "3", "time": ISO_LATER, "kind": "email_clicked", "campaign_id": "c"},
                    {"id": "1", "time": ISO, "kind": "email_received"},
                    {"id": "2", "time": ISO, "kind": "email_received"},
                ]
            },
        ),
    ],
    ids=["last received", "last engaged", "campaigns", "canvases", "history"],
)
@pytest.mark.parametrize("how", ["merge", "identify"])
def test_what_a_merge_makes_of_messages(
    workspace: Workspace, how: str, ours: list[Json], theirs: list[Json], merged: Json
) -> None:
    alias = {"alias_label": "web", "alias_name": "m"}
    guest: Json = {"user_alias": alias, "_update_existing_only": False} if how == "identify" else {"external_id": "m"}
    workspace.track({"attributes": [{"external_id": "k", "x": 1}, {**guest, "x": 1}]})
    if how == "identify":
        theirs = [{**{n: v for n, v in one.items() if n != "external_id"}, "user_alias": alias} for one in theirs]
    assert workspace.post("/v1/messages", {"messages": ours + theirs}).body["messages_processed"] == len(ours + theirs)
    if how == "identify":
        workspace.post("/users/identify", {"aliases_to_identify": [{"external_id": "k", "user_alias": alias}]})
    else:
        pair = {"identifier_to_merge": {"external_id": "m"}, "identifier_to_keep": {"external_id": "k"}}
        workspace.post("/users/merge", {"merge_updates": [pair]})
    found = known(workspace, "k")
    assert {name: found[name] for name in merged} == merged
    equal_to_the_reference(workspace)


def test_what_an_export_shows(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "k"}]})
    told(workspace, {"type": "uninstall", "external_id": "k", "time": AT})
    sent = [
        message("k", "received", AT, campaign_id="c"),
        message("k", "opened", LATER, campaign_id="c", canvas_id="v"),
        message("k", "received", AT, canvas_id="v"),
        message("k", "entered", AT, canvas_id="v"),
    ]
    workspace.post("/v1/messages", {"messages": sent})
    user = workspace.user("k")
    assert user["uninstalled_at"] == ISO
    assert user["campaigns_received"] == [
        {"api_campaign_id": "c", "last_received": ISO, "engaged": {"opened_email": True}}
    ]
    assert user["canvases_received"] == [{"api_canvas_id": "v", "last_received_message": ISO, "last_entered": ISO}]
    fields = ["canvases_received", "uninstalled_at"]
    (some,) = workspace.export(external_ids=["k"], fields_to_export=fields)
    assert some.keys() == set(fields)
    equal_to_the_reference(workspace)


def test_a_profile_keeps_the_newest_messages(workspace: Workspace) -> None:
    title = keys.of_workspace(workspace.service.database, workspace.id).workspace_name
    workspaces.change(workspace.service.database, title, {"message_max": 2}, times_now())
    workspace.drain()
    workspace.track({"attributes": [{"external_id": "k"}]})
    times = [f"2026-02-1{n}T00:00:00Z" for n in (3, 1, 4, 2)]
    sent = [message("k", "received", at, id=at, campaign_id=at, canvas_id=at) for at in times]
    workspace.post("/v1/messages", {"messages": sent})
    found = known(workspace, "k")
    newest = ["2026-02-14T00:00:00Z", "2026-02-13T00:00:00Z"]
    assert [one["id"] for one in found["messages"]] == newest
    assert [one["id"] for one in found["campaigns"]] == sorted(newest)
    assert [one["id"] for one in found["canvases"]] == sorted(newest)
    equal_to_the_reference(workspace)
