"""An identifier that nobody has, for a character that nobody sees: the answer names it by its code point."""

from typing import Any, Final

import pytest

from app.contract.export import NOBODY
from tests.api.harness import Json, Service, Workspace

CHARACTERS: Final = {
    "U+200B (ZERO WIDTH SPACE)": "\u200b",
    "U+00A0 (NO-BREAK SPACE)": "\u00a0",
    "U+FEFF (ZERO WIDTH NO-BREAK SPACE)": "\ufeff",
    "U+00AD (SOFT HYPHEN)": "\u00ad",
    "U+2028 (LINE SEPARATOR)": "\u2028",
    "U+0007": "\x07",
}
ALIAS: Final = {"alias_label": "crm", "alias_name": "7"}


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def known(request: pytest.FixtureRequest) -> Workspace:
    """A workspace of Ada, who is known by every sort of name."""
    service: Service = request.getfixturevalue(f"on_{request.param}")
    workspace = service.workspace("legacy")
    ada = {"external_id": "ada", "email": "ada@example.org", "phone": "+34600123456"}
    assert workspace.track({"attributes": [ada]}).status == 201
    assert workspace.post("/users/alias/new", {"user_aliases": [{"external_id": "ada", **ALIAS}]}).status == 201
    return workspace


def hints(answer: Json) -> list[tuple[str, int, str]]:
    return [(entry["input_array"], entry["index"], entry["type"]) for entry in answer.get("errors", ())]


def sentence(member: str, name: str) -> str:
    return f"{NOBODY}. '{member}' has the invisible character {name}."


@pytest.mark.parametrize("name", CHARACTERS)
def test_an_export_names_it(known: Workspace, name: str) -> None:
    character = CHARACTERS[name]
    body: Json = {
        "external_ids": ["ada", f"ada{character}", "bob", f"{character}bob"],
        "user_aliases": [
            ALIAS,
            {**ALIAS, "alias_name": f"7{character}"},
            {**ALIAS, "alias_label": f"c{character}rm"},
            {**ALIAS, "alias_name": "8"},
        ],
        "braze_id": f"b{character}",
        "email_address": f"a{character}da@example.org",
    }
    answer = known.post("/users/export/ids", body).body
    assert [user["external_id"] for user in answer["users"]] == ["ada"]
    assert answer["invalid_user_ids"] == [*body["external_ids"][1:], body["braze_id"], body["email_address"]]
    assert hints(answer) == [
        ("external_ids", 1, sentence("external_ids", name)),
        ("external_ids", 3, sentence("external_ids", name)),
        ("user_aliases", 1, sentence("alias_name", name)),
        ("user_aliases", 2, sentence("alias_label", name)),
        ("braze_id", 0, sentence("braze_id", name)),
        ("email_address", 0, sentence("email_address", name)),
    ]
    phone = known.post("/users/export/ids", {"phone": f"no{character}"}).body
    assert hints(phone) == [("phone", 0, sentence("phone", name))]


def test_a_name_that_is_seen_is_not_explained(known: Workspace) -> None:
    body: Json = {
        "external_ids": ["nobody", "niemand \u00e9", "\u4eba"],
        "user_aliases": [{**ALIAS, "alias_name": "Zo\u00eb"}],
        "email_address": "\uff41@example.org",
    }
    answer = known.post("/users/export/ids", body).body
    assert "errors" not in answer
    assert answer["invalid_user_ids"] == [*body["external_ids"], body["email_address"]]


def test_somebody_who_has_such_a_name_is_found(known: Workspace) -> None:
    assert known.track({"attributes": [{"external_id": "odd\u200b"}]}).status == 201
    answer = known.post("/users/export/ids", {"external_ids": ["odd\u200b"]}).body
    assert ("errors" in answer, [user["external_id"] for user in answer["users"]]) == (False, ["odd\u200b"])


@pytest.mark.parametrize("name", CHARACTERS)
def test_a_rename_and_a_removal_name_it(known: Workspace, name: str) -> None:
    odd = f"ada{CHARACTERS[name]}"
    with known.service.draining(known.id):
        renamed = known.post(
            "/users/external_ids/rename",
            {"external_id_renames": [{"current_external_id": each, "new_external_id": "x"} for each in (odd, "bob")]},
            drain=False,
        )
        removed = known.post("/users/external_ids/remove", {"external_ids": [odd, "bob"]}, drain=False)
    there = "{} does not exist"
    assert renamed.body["rename_errors"] == [
        [0, f"{there.format('current_external_id')}. 'current_external_id' has the invisible character {name}."],
        [1, there.format("current_external_id")],
    ]
    assert removed.body["removal_errors"] == [
        [0, f"{there.format('external_id')}. 'external_id' has the invisible character {name}."],
        [1, there.format("external_id")],
    ]


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("/v1/messages?external_id=ada%E2%80%8B", "external_id"),
        ("/v1/messages?alias_label=crm&alias_name=7%E2%80%8B", "alias_name"),
        ("/v1/messages?braze_id=%E2%80%8B", "braze_id"),
        ("/v1/profiles/a%E2%80%8B", "braze_id"),
        ("/v1/profiles/a%E2%80%8B/timeline", "braze_id"),
        ("/v1/profiles/a%E2%80%8B/history", "braze_id"),
        ("/v1/profiles/a%E2%80%8B/archive", "braze_id"),
    ],
)
def test_an_unknown_profile(known: Workspace, path: str, member: str) -> None:
    answer = known.service.send("GET", path, None, known.headers(), known.key)
    assert (answer.status, answer.message) == (
        404,
        f"Unknown profile. '{member}' has the invisible character U+200B (ZERO WIDTH SPACE).",
    )


def refused(known: Workspace, path: str, body: Any) -> tuple[int, str]:
    answer = known.post(path, body, drain=False)
    return answer.status, answer.message


def test_a_call_about_consent(known: Workspace) -> None:
    state = {"subscription_state": "subscribed"}
    group = {**state, "subscription_group_id": "00000000-0000-0000-0000-000000000000"}
    named = "has the invisible character U+200B (ZERO WIDTH SPACE)."
    bad_email = "The value provided for the 'email' field is not a valid email."
    assert refused(known, "/email/status", {**state, "email": "a\u200b@b"}) == (400, f"{bad_email} 'email' {named}")
    for path, body, wanted in (
        ("/subscription/status/set", {**group, "email": "\u200ba"}, f"{bad_email} 'email' {named}"),
        ("/subscription/status/set", {**group, "phone": "\u200b+"}, f"'phone' must be E.164. 'phone' {named}"),
        (
            "/v2/subscription/status/set",
            {"subscription_groups": [{**group, "emails": ["a\u200b"]}]},
            f"{bad_email} 'emails' {named}",
        ),
    ):
        assert refused(known, path, body) == (400, wanted)
