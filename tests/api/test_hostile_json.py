"""JSON that no honest client sends: what is no JSON is refused whole, what is JSON costs at most one object or field.

Every case that can be refused is sent twice: alone, and beside a good object, which has to arrive.
"""

import json

import pytest

from tests.api.harness import Service, Workspace
from tests.api.hostile_json import (
    BROKEN,
    LARGE,
    NO_ARRAY,
    NO_JSON,
    NO_REQUEST,
    NO_VALID_DATA,
    ONE_OBJECT,
    PARSE_ERROR,
    TOO_DEEP,
    TOO_MANY_VALUES,
    VALUES,
    around,
)


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_no_json(on_sqlite: Service, body: bytes) -> None:
    workspace = on_sqlite.workspace()
    for path in ("/users/track", "/users/export/ids"):
        answer = workspace.post(path, body)
        assert (answer.status, answer.body) == (400, {"message": PARSE_ERROR, "error": PARSE_ERROR})
    assert workspace.stored() == []


@pytest.mark.parametrize(("name", "body"), NO_ARRAY.values(), ids=NO_ARRAY)
def test_no_array(on_sqlite: Service, name: str, body: bytes) -> None:
    workspace = on_sqlite.workspace()
    answer = workspace.track(body)
    error = {"type": f"'{name}' must be an array of objects", "input_array": name, "index": 0}
    assert (answer.status, answer.body) == (400, {"message": NO_VALID_DATA, "errors": [error]})
    assert workspace.stored() == []


@pytest.mark.parametrize("body", NO_REQUEST.values(), ids=NO_REQUEST)
def test_no_request(on_sqlite: Service, body: bytes) -> None:
    workspace = on_sqlite.workspace()
    answer = workspace.track(body)
    assert (answer.status, answer.body) == (400, {"message": NO_VALID_DATA})
    assert workspace.stored() == []


@pytest.mark.parametrize("obj", ONE_OBJECT.values(), ids=ONE_OBJECT)
def test_one_object(workspace: Workspace, obj: bytes) -> None:
    alone = workspace.track(b'{"attributes":[' + obj + b"]}")
    assert (alone.status, alone.message, alone.errors) == (400, NO_VALID_DATA, [("attributes", 0)])
    beside = workspace.track(b'{"attributes":[{"external_id":"good","k":1},' + obj + b"]}")
    assert (beside.status, beside.counts, beside.errors) == (201, {"attributes": 1}, [("attributes", 1)])
    assert [user["external_id"] for user in workspace.stored()] == ["good"]


@pytest.mark.parametrize("depth", [1_000, 2_000])
@pytest.mark.parametrize(
    "form",
    [("[", "]"), ('{"a":', "}"), ('[1e400,{"a":', "}]")],
    ids=["arrays", "objects", "both beside a large number"],
)
def test_48_depth_of_thousands(workspace: Workspace, form: tuple[str, str], depth: int) -> None:
    """Whether the parser gives up or the walk does: 400 or one refused object, never an error of ours. How deep the
    parser goes differs between versions of Python."""
    before, behind = form
    body = (before * depth + "1" + behind * depth).encode()
    answer = workspace.track(around(body))
    assert (answer.status, answer.errors) in ((400, []), (201, [("attributes", 0)]))


def test_48_as_deep_as_it_goes(workspace: Workspace) -> None:
    """Sixteen levels, the object itself among them."""
    answer = workspace.track(b'{"attributes":[{"external_id":"x","k":' + b'{"a":' * 15 + b"1" + b"}" * 15 + b"}]}")
    assert (answer.status, answer.errors) == (201, [])
    assert json.dumps(workspace.user("x")["custom_attributes"]["k"]).count("{") == 15


@pytest.mark.parametrize(("raw", "wanted"), VALUES.values(), ids=VALUES)
def test_value(workspace: Workspace, raw: bytes, wanted: object) -> None:
    """Nothing of the neighbours is lost, and the request says which field was not taken."""
    answer = workspace.track(b'{"attributes":[{"external_id":"x","before":1,"k":' + raw + b',"after":2}]}')
    assert (answer.status, answer.counts, answer.errors) == (201, {"attributes": 1}, [])
    custom = workspace.user("x")["custom_attributes"]
    assert (custom.pop("before"), custom.pop("after")) == (1, 2)
    if wanted in (LARGE, BROKEN):
        assert custom == {}
        assert workspace.skipped(answer.request_id) == [("attributes", 0, "k", wanted)]
        return
    assert custom == {"k": wanted}
    assert json.dumps(custom["k"]) in (json.dumps(wanted), json.dumps(0))
    assert workspace.skipped(answer.request_id) == []


def test_47_repeated_keys_everywhere(workspace: Workspace) -> None:
    answer = workspace.track(
        b'{"events":[],"attributes":[{"external_id":"no"}],'
        b'"attributes":[{"external_id":"no","external_\\u0069d":"yes","n":1,"n":2}]}'
    )
    assert answer.counts == {"attributes": 1}
    (user,) = workspace.stored()
    assert (user["external_id"], user["custom_attributes"]) == ("yes", {"n": 2})


@pytest.mark.parametrize("body", TOO_DEEP.values(), ids=TOO_DEEP)
def test_48_depth_of_a_hundred_thousand(on_sqlite: Service, body: bytes) -> None:
    """No parser takes it. An endpoint that reads has a lower bound for values, which says so first."""
    workspace = on_sqlite.workspace()
    answer = workspace.post("/users/track", body)
    assert (answer.status, answer.body) == (400, {"message": PARSE_ERROR, "error": PARSE_ERROR})
    assert workspace.post("/users/export/ids", body).status == 413


@pytest.mark.parametrize("body", TOO_MANY_VALUES.values(), ids=TOO_MANY_VALUES)
def test_too_many_values(on_sqlite: Service, body: bytes) -> None:
    """They are counted before anything is decoded."""
    answer = on_sqlite.workspace().post("/users/track", body, drain=False)
    assert (answer.status, answer.body) == (413, {"message": "The request body has too many JSON values"})


def test_49_200_000_keys(workspace: Workspace) -> None:
    keys = b",".join(b'"k%d":1' % n for n in range(200_000))
    answer = workspace.track(b'{"attributes":[{"external_id":"y","k":{' + keys + b'},"n":1}]}')
    assert answer.status == 201
    assert workspace.user("y")["custom_attributes"] == {"n": 1}
    assert workspace.skipped(answer.request_id) == [("attributes", 0, "k", "value_too_large")]


def test_49_200_000_keys_at_the_top(workspace: Workspace) -> None:
    keys = b",".join(b'"k%d":1' % n for n in range(200_000))
    assert workspace.track(b"{" + keys + b',"attributes":[{"external_id":"x"}]}').counts == {"attributes": 1}


def test_50_key_of_1_mb(workspace: Workspace) -> None:
    name = b"k" * 1_000_000
    answer = workspace.track(b'{"attributes":[{"external_id":"x","' + name + b'":1,"o":{"' + name + b'":1},"n":1}]}')
    assert answer.status == 201
    assert workspace.user("x")["custom_attributes"] == {"n": 1}
    assert [(field[:3], reason) for _, _, field, reason in workspace.skipped(answer.request_id)] == [
        ("kkk", "invalid_name"),
        ("o", "invalid_key"),
    ]


def test_51_text_of_20_mb(workspace: Workspace) -> None:
    answer = workspace.track(b'{"attributes":[{"external_id":"x","k":"' + b"a" * 20_000_000 + b'"}]}')
    assert (answer.status, answer.body) == (413, {"message": "Request Entity Too Large"})
    answer = workspace.track(b'{"attributes":[{"external_id":"x","n":1,"k":"' + b"a" * 4_000_000 + b'"}]}')
    assert answer.status == 201
    assert workspace.user("x")["custom_attributes"] == {"n": 1}


def test_55_keys_that_collide(workspace: Workspace) -> None:
    """Integers of the same hash as text keys: Python's hash of text is keyed, so these are just many keys."""
    keys = b",".join(b'"%d":1' % (n * (2**61 - 1)) for n in range(50_000))
    answer = workspace.track(b'{"attributes":[{"external_id":"x","k":{' + keys + b"}}]}")
    assert answer.status == 201


def test_a_large_number_does_not_change_the_rest(workspace: Workspace) -> None:
    """A body with such a number is read by another parser: everything else has to come out the same."""
    values = {"f": 0.1, "i": 2**63 - 1, "t": "é\u2028", "a": [True, False, 1.5], "o": {"x": "y"}}
    raw = json.dumps(values)[1:-1].encode()
    workspace.track(b'{"attributes":[{"external_id":"plain",' + raw + b"}]}")
    workspace.track(b'{"attributes":[{"external_id":"large",' + raw + b',"big":1e400}]}')
    plain, large = (user["custom_attributes"] for user in workspace.stored())
    assert plain == large == values
