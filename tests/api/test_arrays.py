"""Arrays as PHP sends them, for every array and object of every endpoint (DECISIONS D63).

`json_encode` makes `{"0": …, "2": …}` of an array with a gap. Where an array is expected, the answer names the member
and says so; nothing is guessed. An empty object becomes `[]`, which is not sent.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from app.api.app import FAMILIES
from tests.api.harness import Answer, Service, Workspace

Path = tuple[Any, ...]
WHO: Final = {"email": "a@example.org", "prioritization": ["identified", "most_recently_updated"]}
ALIAS: Final = {"alias_name": "n", "alias_label": "l"}
PRODUCT: Final = {"product_id": "p", "product_name": "n", "variant_id": "v", "price": 1, "quantity": 1}
ORDER: Final = {"order_id": "o", "total_value": 1, "currency": "USD", "source": "s", "products": [PRODUCT]}
TIME: Final = "2026-01-05"
#: Bodies with every array that an endpoint takes; those of the documentation come besides.
BODIES: Final[list[tuple[str, dict[str, Any]]]] = [
    (
        "/users/track",
        {
            "attributes": [{"external_id": "a", "k": 1}],
            "events": [{"external_id": "a", "name": "e", "time": TIME}],
            "purchases": [{"external_id": "a", "product_id": "p", "currency": "USD", "price": 1, "time": TIME}],
        },
    ),
    (
        "/users/track",
        {"purchase": [{"external_id": "a", "product_id": "p", "currency": "USD", "price": 1, "time": TIME}]},
    ),
    ("/users/track/bulk", {"events": [{"external_id": "a", "name": "e", "time": TIME}]}),
    ("/users/track/sync", {"attributes": [{"external_id": "a", "k": 1}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "push_tokens": [{"app_id": "x", "token": "t"}]}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "subscription_groups": [{"subscription_group_id": "x"}]}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "facebook": {"id": "f", "likes": ["x", "y"]}}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "k": {"add": ["x"]}}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "k": {"remove": ["x"]}}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "k": {"$add": [{"id": 1}]}}]}),
    ("/users/track", {"attributes": [{"external_id": "a", "k": {"$remove": [{"$identifier_key": "id"}]}}]}),
    (
        "/users/track",
        {
            "events": [
                {
                    "external_id": "a",
                    "name": "ecommerce.order_placed",
                    "time": TIME,
                    "properties": {**ORDER, "discounts": [{"code": "x"}]},
                }
            ]
        },
    ),
    (
        "/users/track",
        {
            "events": [
                {
                    "external_id": "a",
                    "name": "ecommerce.product_viewed",
                    "time": TIME,
                    "properties": {
                        **{name: PRODUCT[name] for name in ("product_id", "product_name", "variant_id", "price")},
                        "currency": "USD",
                        "source": "s",
                        "type": ["price_drop"],
                    },
                }
            ]
        },
    ),
    (
        "/users/identify",
        {
            "aliases_to_identify": [{"external_id": "a", "user_alias": ALIAS}],
            "emails_to_identify": [{"external_id": "a", **WHO}],
            "phone_numbers_to_identify": [
                {"external_id": "a", "phone": "+34600123456", "prioritization": WHO["prioritization"]}
            ],
        },
    ),
    ("/users/merge", {"merge_updates": [{"identifier_to_merge": WHO, "identifier_to_keep": WHO}]}),
    ("/v1/merges/preview", {"merge_updates": [{"identifier_to_merge": WHO, "identifier_to_keep": WHO}]}),
    ("/users/alias/new", {"user_aliases": [ALIAS]}),
    ("/users/alias/update", {"alias_updates": [{"alias_label": "l", "old_alias_name": "a", "new_alias_name": "b"}]}),
    (
        "/users/delete",
        {
            "external_ids": ["a", "b"],
            "braze_ids": ["c", "d"],
            "user_aliases": [ALIAS],
            "email_addresses": [WHO],
            "phone_numbers": [{"phone": "+34600123456", **WHO}],
        },
    ),
    (
        "/users/export/ids",
        {"external_ids": ["a", "b"], "user_aliases": [ALIAS], "fields_to_export": ["email", "phone"]},
    ),
    ("/users/external_ids/rename", {"external_id_renames": [{"current_external_id": "a", "new_external_id": "b"}]}),
    ("/users/external_ids/remove", {"external_ids": ["a", "b"]}),
    ("/v1/dead-letters/replay", {"ids": ["a", "b"]}),
    ("/v1/rates", {"rates": [{"currency": "EUR", "usd": 1, "from": TIME}]}),
]


def places(value: object, kind: type, path: Path = ()) -> Iterator[Path]:
    """Where in a JSON value a non-empty array (`list`) or object (`dict`) is the value of a member."""
    if isinstance(value, kind) and value and path and isinstance(path[-1], str):
        yield path
    for key, member in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from places(member, kind, (*path, key))


def replaced(value: Any, path: Path, new: object) -> Any:
    step, *rest = path
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    changed[step] = replaced(value[step], tuple(rest), new) if rest else new
    return changed


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def indexed(array: list[object]) -> dict[str, object]:
    """What `json_encode` makes of an array from which something was unset."""
    return {"0": array[0], "2": array[-1]}


def ask(workspace: Workspace, method: str, path: str, body: object) -> Answer:
    with workspace.service.draining(workspace.id):  # some answer when they are applied
        answer = workspace.service.send(
            method, path, json.dumps(body).encode(), workspace.headers_for(path), workspace.key
        )
    workspace.drain()
    return answer


def documented(service: Service) -> list[tuple[str, str, Any]]:
    """(method, path, example) of every endpoint with a body."""
    found = [
        (endpoint.method, endpoint.path, endpoint.documentation.example)
        for family in FAMILIES
        for endpoint in family(service.services)
    ]
    return [(method, path, example) for method, path, example in found if method != "GET" and example]


def is_own_object(path: Path) -> bool:
    """Whether an object may stand there as well: the value of a custom attribute, or of a property of an event."""
    if path[0] in ("attributes", "events", "purchases") and len(path) > 2:
        return (path[0] == "attributes" and len(path) == 3) or path[2] == "properties"
    return False


def test_every_array_of_the_documentation(on_sqlite: Service) -> None:
    seen = 0
    for method, path, example in documented(on_sqlite):
        for place in places(example, list):
            if is_own_object(place):
                continue
            workspace = on_sqlite.workspace()
            answer = ask(workspace, method, path, replaced(example, place, indexed(at(example, place))))
            assert_names(workspace, answer, place)
            seen += 1
    assert seen > 10


@pytest.mark.parametrize(("path", "body"), BODIES, ids=[f"{n} {path}" for n, (path, _) in enumerate(BODIES)])
def test_every_array(workspace: Workspace, path: str, body: dict[str, Any]) -> None:
    method = "PUT" if path == "/v1/rates" else "POST"
    for place in places(body, list):
        answer = ask(workspace, method, path, replaced(body, place, indexed(at(body, place))))
        assert_names(workspace, answer, place)


def assert_names(workspace: Workspace, answer: Answer, place: Path) -> None:
    """The answer, or what became of the request, says which member is no array."""
    name = place[-1]
    if answer.status == 400:
        said = [answer.message, *answer.types]
    else:
        assert answer.status in (201, 202), answer.text
        said = answer.types
    if any(name in sentence and "array" in sentence for sentence in said):
        return
    assert answer.status == 201, answer.text
    skipped = workspace.skipped(answer.request_id)
    outer = next(step for step in reversed(place[:-1]) if isinstance(step, str))
    assert any(
        (field == outer and reason in ("not_an_array", "invalid_operation"))
        or (field == f"{outer}.{name}" and reason == "invalid_value")
        for _, _, field, reason in skipped
    ), (place, skipped, answer.text)


def test_an_empty_array_for_an_object_is_not_sent(workspace: Workspace) -> None:
    """The rest has its effect, and nothing is said about what was not sent."""
    optional: dict[str, object] = {
        "user_alias": [],
        "current_location": [],
        "facebook": [],
        "twitter": [],
        "_merge_objects": [],
        "_update_existing_only": [],
        "push_tokens": [],
        "subscription_groups": [],
    }
    answer = workspace.track(
        {
            "attributes": [{"external_id": "a", "first_name": "Ada", **optional}],
            "events": [{"external_id": "a", "name": "e", "time": TIME, "properties": [], "user_alias": []}],
            "purchases": [
                {
                    "external_id": "a",
                    "product_id": "p",
                    "currency": "USD",
                    "price": 1,
                    "time": TIME,
                    "properties": [],
                    "user_alias": [],
                    "braze_id": [],
                }
            ],
        }
    )
    assert (answer.status, answer.counts, answer.types) == (201, {"attributes": 1, "events": 1, "purchases": 1}, [])
    assert workspace.skipped(answer.request_id) == []
    assert workspace.user("a")["first_name"] == "Ada"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/alias/new", {"user_aliases": [{**ALIAS, "user_alias": [], "external_id": []}]}),
        (
            "/users/merge",
            {
                "merge_updates": [
                    {
                        "identifier_to_merge": {"external_id": "a", "user_alias": []},
                        "identifier_to_keep": {"user_alias": ALIAS, "external_id": [], "email": []},
                    }
                ]
            },
        ),
        (
            "/users/identify",
            {
                "aliases_to_identify": [{"external_id": "a", "user_alias": ALIAS, "email": []}],
                "emails_to_identify": [],
                "phone_numbers_to_identify": [],
            },
        ),
        ("/users/delete", {"external_ids": ["a"], "user_aliases": [], "braze_ids": [], "email_addresses": []}),
        (
            "/users/export/ids",
            {"external_ids": ["a"], "user_aliases": [], "braze_id": [], "phone": [], "fields_to_export": []},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_empty_array_for_an_identifier_is_not_sent(workspace: Workspace, path: str, body: object) -> None:
    answer = ask(workspace, "POST", path, body)
    assert (answer.status, answer.errors) == (202 if path == "/users/merge" else 201, []), answer.text
