"""An integer is that integer however it is written, wherever a body is asked for one (DECISIONS D64)."""

import json
from typing import Any, Final

import pytest

from tests.api.harness import Answer, Service, Workspace

#: The integer 100, and the way to write it.
WRITTEN: Final = ("100", "100.0", "1e2", "1E+2", "1000e-1", "100.000")
#: No integers, or none that is in any bound.
WRONG: Final = ("1.5", "1e-1", "1e400", "1e30", "-1", "-1e2", "true", "[100]", '"x"', "9" * 30)

CART: Final = (
    '{"events":[{"external_id":"a","name":"ecommerce.cart_updated","time":"2026-01-05","properties":{"cart_id":"c",'
    '"total_value":1,"currency":"USD","source":"s","products":[{"product_id":"p","product_name":"n","variant_id":"v",'
    '"price":1,"quantity":~}]}}]}'
)
#: (method, path, body with `~` for the integer). `null` means another thing to some of them.
ASKED: Final[list[tuple[str, str, str]]] = [
    ("PUT", "/v1/limits", '{"track_hourly_limit":~}'),
    ("PUT", "/v1/limits", '{"track_burst_limit":~}'),
    ("PUT", "/v1/limits", '{"burst_window_seconds":~}'),
    ("PUT", "/v1/limits", '{"max_objects_combined":~}'),
    ("PUT", "/v1/limits", '{"max_objects_per_array":~}'),
    ("PUT", "/v1/limits", '{"groups":{"default":{"requests":~,"window_seconds":60}}}'),
    ("PUT", "/v1/limits", '{"groups":{"default":{"requests":60,"window_seconds":~}}}'),
    ("POST", "/v1/attributes", '{"name":"k","array_max":~}'),
    (
        "POST",
        "/users/track",
        '{"purchases":[{"external_id":"a","product_id":"p","currency":"USD","price":1,"quantity":~,"time":"2026-01-05"}]}',
    ),
    (
        "POST",
        "/users/track",
        CART,
    ),
]


def ask(workspace: Workspace, method: str, path: str, body: str) -> Answer:
    with workspace.service.draining(workspace.id):  # some answer when they are applied
        return workspace.service.send(method, path, body.encode(), workspace.headers(), workspace.key)


@pytest.mark.parametrize(("method", "path", "body"), ASKED, ids=[f"{n} {path}" for n, (_, path, _) in enumerate(ASKED)])
def test_an_integer(service: Service, method: str, path: str, body: str) -> None:
    answers = []
    for written in WRITTEN:
        workspace = service.workspace()
        answer = ask(workspace, method, path, body.replace("~", written))
        assert answer.status in (200, 201), (written, answer.text)
        assert answer.errors == []
        answers.append(json.dumps(without_usage(answer.body)))
    assert set(answers) == {answers[0]}
    workspace = service.workspace()
    for written in WRONG:
        assert ask(workspace, method, path, body.replace("~", written)).status == 400, written


def without_usage(body: dict[str, Any]) -> dict[str, Any]:
    """An answer about limits without what differs from moment to moment."""
    return {name: value for name, value in body.items() if name not in ("usage", "limits")}


#: Attributes with the integer, and what is stored of them.
STORED: Final[dict[str, dict[str, Any]]] = {
    '"k":{"inc":~}': {"k": 100},
    '"twitter":{"id":~,"followers_count":~,"friends_count":~,"statuses_count":~}': {
        "twitter": dict.fromkeys(("id", "followers_count", "friends_count", "statuses_count"), 100)
    },
    '"facebook":{"num_friends":~}': {"facebook": {"num_friends": 100}},
}


@pytest.mark.parametrize("attributes", STORED)
def test_an_integer_of_attributes(workspace: Workspace, attributes: str) -> None:
    for written in WRITTEN:
        raw = f'{{"attributes":[{{"external_id":"{written}",{attributes.replace("~", written)}}}]}}'
        answer = workspace.track(raw.encode())
        assert (answer.status, workspace.skipped(answer.request_id)) == (201, [])
    for profile in workspace.state().profiles.values():
        stored = {**(profile.core or {}), **(profile.custom or {})}
        assert json.dumps(stored) == json.dumps(STORED[attributes])


@pytest.mark.parametrize("written", WRITTEN)
def test_an_identifier_that_is_a_number(workspace: Workspace, written: str) -> None:
    answer = workspace.track(f'{{"attributes":[{{"external_id":{written},"k":1}}]}}'.encode())
    assert answer.status == 201
    assert workspace.user("100")["custom_attributes"] == {"k": 1}
