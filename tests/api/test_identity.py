"""Identity over HTTP: permissions, limits, bad input, what is told of a request without effect, the checkout story."""

from typing import Any

import pytest

from tests.api.harness import Answer, Json, Service, Workspace, stable

ALIAS = {"alias_label": "basket", "alias_name": "guest-7"}
RULES = ["unidentified", "most_recently_updated"]

#: path -> (permission, group's limit, a body that is accepted)
ENDPOINTS: dict[str, tuple[str, int, Json]] = {
    "/users/identify": (
        "users.identify",
        20_000,
        {"aliases_to_identify": [{"external_id": "ada", "user_alias": ALIAS}]},
    ),
    "/users/merge": (
        "users.merge",
        20_000,
        {"merge_updates": [{"identifier_to_merge": {"user_alias": ALIAS}, "identifier_to_keep": {"external_id": "a"}}]},
    ),
    "/users/alias/new": ("users.alias.new", 20_000, {"user_aliases": [ALIAS]}),
    "/users/alias/update": (
        "users.alias.update",
        20_000,
        {"alias_updates": [{"alias_label": "l", "old_alias_name": "a", "new_alias_name": "b"}]},
    ),
    "/users/delete": ("users.delete", 20_000, {"external_ids": ["nobody"]}),
    "/users/external_ids/rename": (
        "users.external_ids.rename",
        1_000,
        {"external_id_renames": [{"current_external_id": "a", "new_external_id": "b"}]},
    ),
    "/users/external_ids/remove": ("users.external_ids.remove", 1_000, {"external_ids": ["a"]}),
}
SHARED = [path for path, (_, limit, _) in ENDPOINTS.items() if limit == 20_000]


def call(workspace: Workspace, path: str, body: object, key: str | None = None) -> Answer:
    """POST, while an applier is at work where the answer waits for one."""
    authorization = f"Bearer {key or workspace.key}"
    if not path.startswith("/users/external_ids/"):
        return workspace.post(path, body, Authorization=authorization)
    with workspace.service.draining(workspace.id):
        return workspace.post(path, body, drain=False, Authorization=authorization)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_each_endpoint_needs_its_permission_and_nothing_else(service: Service, path: str) -> None:
    workspace = service.workspace("legacy")
    permission, _, body = ENDPOINTS[path]
    others = [other for other, *_ in ENDPOINTS.values() if other != permission]
    refused = call(workspace, path, body, service.key(workspace.id, *others, "users.track"))
    assert (refused.status, refused.body) == (403, {"message": "Access Denied"})
    assert call(workspace, path, body, service.key(workspace.id, permission)).status in (201, 202)


def test_another_spelling_of_the_permission_to_rename(service: Service) -> None:
    workspace = service.workspace("legacy")
    path = "/users/external_ids/rename"
    assert (
        call(workspace, path, ENDPOINTS[path][2], service.key(workspace.id, "users.external_id.rename")).status == 201
    )
    remove = "/users/external_ids/remove"
    assert (
        call(workspace, remove, {"external_ids": ["a"]}, service.key(workspace.id, "users.external_id.rename")).status
        == 403
    )


def test_five_endpoints_share_a_limit_and_two_have_their_own(service: Service) -> None:
    workspace = service.workspace("legacy")
    for number, path in enumerate(SHARED, 1):
        answer = call(workspace, path, ENDPOINTS[path][2])
        assert answer.headers["X-RateLimit-Limit"] == "20000"
        # The bucket fills again while the test runs: 333 tokens a second.
        assert 20_000 - number <= int(answer.headers["X-RateLimit-Remaining"]) < 20_000
    for path in ENDPOINTS.keys() - set(SHARED):
        answer = call(workspace, path, ENDPOINTS[path][2])
        assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("1000", "999")


# What is told of a request without effect.


def test_reasons_are_told_and_counted(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": n, "email": "x@example.org"} for n in ("a", "b")]})
    merge = workspace.post(
        "/users/merge",
        {
            "merge_updates": [
                {"identifier_to_merge": {"external_id": "a"}, "identifier_to_keep": {"external_id": "a"}},
                {"identifier_to_merge": {"external_id": "a"}, "identifier_to_keep": {"external_id": "nobody"}},
                {
                    "identifier_to_merge": {"email": "x@example.org", "prioritization": ["identified"]},
                    "identifier_to_keep": {"external_id": "a"},
                },
            ]
        },
        drain=False,
    )
    assert (merge.status, merge.body) == (202, {"message": "success"})
    identify = workspace.post(
        "/users/identify", {"aliases_to_identify": [{"external_id": "a", "user_alias": ALIAS}]}, drain=False
    )
    summary = workspace.service.drain(workspace.id)
    assert workspace.skipped(merge.request_id) == [
        ("merge_updates", 0, "", "same_profile"),
        ("merge_updates", 1, "identifier_to_keep", "profile_not_found"),
        ("merge_updates", 2, "identifier_to_merge", "ambiguous"),
    ]
    assert workspace.skipped(identify.request_id) == [("aliases_to_identify", 0, "", "profile_not_found")]
    assert summary.skipped_by_reason == {"same_profile": 1, "profile_not_found": 2, "ambiguous": 1}
    assert (summary.counts.skipped, summary.counts.merged, summary.counts.identified) == (4, 0, 0)


# Bad input (reliability.md 81-94): never a fault of ours, and nothing of it is kept.

_LONG = "x" * 988
_NO_IDS: list[Any] = [None, "", " ", True, [], {}, _LONG, "a\0"]
_NO_ALIASES: list[Any] = [None, "n", [], {}, {"alias_label": "l"}, {"alias_label": "l", "alias_name": "\0"}]
_NO_DELETES: list[Any] = [["x"] * 51, [None], [[]], "x", {"a": 1}, [_LONG]]
_NO_NEW_ALIASES: list[Any] = [[ALIAS] * 51, [None], [[ALIAS]], "x", [{}]]
_NO_RENAMES: list[Any] = [[], [{}], ["x"], [{"current_external_id": "a"}], None]
_NO_REMOVALS: list[Any] = [[], None, "x", ["x"] * 51]
BAD: list[tuple[str, Any, int]] = [
    ("/users/identify", {"aliases_to_identify": [{"external_id": "e", "user_alias": ALIAS}] * 51}, 400),
    *(
        ("/users/identify", {**ENDPOINTS["/users/identify"][2], "merge_behavior": behavior}, status)
        for behavior, status in (("MERGE", 400), ("x", 400), (1, 400), (None, 201), ("none", 201))
    ),
    *(
        ("/users/identify", {"emails_to_identify": [{"external_id": "e", "email": "x@example.org", **rules}]}, 400)
        for rules in ({}, {"prioritization": ["identified", "unidentified"]}, {"prioritization": "identified"})
    ),
    *(
        ("/users/identify", {"aliases_to_identify": [{"external_id": bad, "user_alias": ALIAS}]}, 400)
        for bad in _NO_IDS
    ),
    *(
        ("/users/identify", {"aliases_to_identify": [{"external_id": "e", "user_alias": bad}]}, 400)
        for bad in _NO_ALIASES
    ),
    *(("/users/delete", {"external_ids": bad}, 400) for bad in _NO_DELETES),
    *(("/users/alias/new", {"user_aliases": bad}, 400) for bad in _NO_NEW_ALIASES),
    *(("/users/external_ids/rename", {"external_id_renames": bad}, 400) for bad in _NO_RENAMES),
    *(("/users/external_ids/remove", {"external_ids": bad}, 400) for bad in _NO_REMOVALS),
    *((path, body, 400) for path in ENDPOINTS for body in (b"", b"[]", b"null", b'"x"', b'{"a":', b"\xff", b"[" * 900)),
    *(
        (path, b'{"%s":[%s]}' % (name, b'{"a":' * 300 + b"1" + b"}" * 300), 400)
        for path, name in (("/users/merge", b"merge_updates"), ("/users/alias/new", b"user_aliases"))
    ),
    ("/users/delete", b'{"external_ids":[1e400,%s]}' % (b"9" * 5000), 400),
    ("/users/delete", b'{"external_ids":[9223372036854775808]}', 201),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input(on_postgres: Service, number: int) -> None:
    path, body, status = BAD[number]
    workspace = on_postgres.workspace("legacy")
    answer = call(workspace, path, body)
    assert answer.status == status, answer.text
    assert workspace.stored() == []


def renames(*names: str) -> Json:
    items = [
        {"current_external_id": old, "new_external_id": new} for old, new in zip(names[::2], names[1::2], strict=True)
    ]
    return {"external_id_renames": items}


def test_rename_and_remove_answer_for_every_item(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a", "n": 1}, {"external_id": "x"}]})
    answer = call(
        workspace, "/users/external_ids/rename", renames("a", "b", "b", "c", "x", "x", "x", "a", "", "y", "a", "z")
    )
    assert (answer.status, answer.body) == (
        201,
        {
            "message": "success",
            "external_ids": [
                {"current_external_id": "a", "new_external_id": "b"},
                {"current_external_id": "b", "new_external_id": "c"},
            ],
            "rename_errors": [
                [2, "new_external_id must differ from current_external_id"],
                [3, "new_external_id is already in use"],
                [4, "external ids must be non-empty strings"],
                [5, "current_external_id is deprecated"],
            ],
        },
    )
    assert workspace.skipped(answer.request_id) == [
        ("external_id_renames", 2, "", "external_id_unchanged"),
        ("external_id_renames", 3, "", "external_id_taken"),
        ("external_id_renames", 5, "", "external_id_deprecated"),
    ]
    workspace.track({"attributes": [{"external_id": "a", "n": {"inc": 1}}]})
    for name in "abc":
        assert workspace.user(name)["external_id"] == "c"
        assert workspace.user(name)["custom_attributes"] == {"n": 2}
    removed = call(workspace, "/users/external_ids/remove", {"external_ids": ["a", "c", "nobody", "a"]})
    assert removed.body == {
        "message": "success",
        "removed_ids": ["a"],
        "removal_errors": [
            [1, "external_id is not deprecated"],
            [2, "external_id does not exist"],
            [3, "external_id does not exist"],
        ],
    }
    assert workspace.export(external_ids=["a"]) == []
    assert call(workspace, "/users/external_ids/rename", renames("", "y")).body == {
        "message": "success",
        "external_ids": [],
        "rename_errors": [[0, "external ids must be non-empty strings"]],
    }


def test_delete_then_track_then_delete(workspace: Workspace) -> None:
    """Without waiting in between."""
    track = {"attributes": [{"external_id": "a", "email": "a@example.org", "n": {"inc": 1}}]}
    for path, body in [("/users/track", track), ("/users/delete", {"external_ids": ["a"]})] * 2:
        assert workspace.post(path, body, drain=False).status == 201
    workspace.drain()
    assert workspace.stored() == []
    workspace.track(track)
    assert workspace.user("a")["custom_attributes"] == {"n": 1}


def test_another_workspaces_ids_are_nobodys(service: Service) -> None:
    ours, theirs = service.workspace("legacy"), service.workspace("legacy")
    theirs.track({"attributes": [{"external_id": "a"}]})
    braze_id = theirs.export(external_ids=["a"])[0]["braze_id"]
    ours.track({"attributes": [{"external_id": "b"}]})
    ours.post("/users/delete", {"braze_ids": [braze_id], "external_ids": ["a"]})
    pair = {"identifier_to_merge": {"braze_id": braze_id}, "identifier_to_keep": {"external_id": "b"}}
    ours.post("/users/merge", {"merge_updates": [pair]})
    assert [user["external_id"] for user in theirs.stored() + ours.stored()] == ["a", "b"]


# The checkout story of the README.


def bought(product: str, **who: Any) -> Json:
    when = {"time": "2026-11-20T10:00:00Z"}
    return {**who, "product_id": product, "currency": "USD", "price": 12.5, **when}


@pytest.mark.parametrize("is_known", [False, True])
def test_a_guest_who_bought_becomes_a_customer(workspace: Workspace, is_known: bool) -> None:
    """Guest checkout under an alias, then identification: the purchases are the customer's, whoever asks how."""
    if is_known:
        workspace.track({"purchases": [bought("lamp", external_id="ada")]})
    purchase = bought("mug", user_alias=ALIAS, _update_existing_only=False)
    assert workspace.track({"purchase": purchase}).counts == {"purchases": 1}
    (guest,) = workspace.export(user_aliases=[ALIAS])
    assert "external_id" not in guest
    identified = workspace.post("/users/identify", ENDPOINTS["/users/identify"][2])
    assert identified.body == {"aliases_processed": 1, "message": "success"}
    assert workspace.skipped(identified.request_id) == []
    (by_id,) = workspace.export(external_ids=["ada"])
    assert [by_id] == workspace.export(user_aliases=[ALIAS])
    assert by_id["user_aliases"] == [{"alias_name": "guest-7", "alias_label": "basket"}]
    assert [p["name"] for p in by_id["purchases"]] == (["lamp", "mug"] if is_known else ["mug"])
    assert by_id["total_revenue"] == (25.0 if is_known else 12.5)
    assert (by_id["braze_id"] == guest["braze_id"]) is not is_known
    assert len(workspace.stored()) == 1
    assert stable(by_id)["external_id"] == "ada"
    # A later purchase under the alias is the customer's, too.
    workspace.track({"purchases": [bought("pen", user_alias=ALIAS)]})
    assert [p["name"] for p in workspace.user("ada")["purchases"]][-1] == "pen"
