"""Requests that are wrong before their JSON is looked at: body, headers, path, key. Exact statuses, nothing stored."""

import gzip
import json
import zlib
from typing import Final

import pytest

from app.store import keys
from tests.api.harness import Service, Workspace, times_now

TRACK: Final = "/users/track"
GOOD: Final = b'{"attributes":[{"external_id":"t","n":1}]}'
LIMIT: Final = 4 * 1024 * 1024
INVALID_KEY: Final = {"message": "Invalid API key"}
INVALID_URL: Final = {"message": "Invalid URL"}
PARSE_ERROR: Final = "Error while parsing request body. Please check your syntax."

Headers = list[tuple[bytes, bytes]]


def with_key(workspace: Workspace, *more: tuple[bytes, bytes], json_type: bool = True) -> Headers:
    headers = [(b"authorization", b"Bearer " + workspace.key.encode())]
    if json_type:
        headers.append((b"content-type", b"application/json"))
    return [*headers, *more]


def padded(size: int) -> bytes:
    """A valid body of exactly so many bytes."""
    body = b'{"attributes":[{"external_id":"t","n":1}],"partner":"%s"}'
    return body % (b"x" * (size - len(body) + 2))


#: A good body in two members, as log shippers write them.
MEMBERS: Final = gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:])

# Bodies (1-9). A refused request stores nothing, and the next one on the same service works.

BODIES: Final = {
    "1 none": (None, (), 400, PARSE_ERROR),
    "2 empty": (b"", (), 400, PARSE_ERROR),
    "2 blank": (b" \r\n\t", (), 400, PARSE_ERROR),
    "5 one byte over": (padded(LIMIT + 1), (), 413, "Request Entity Too Large"),
    "7 bomb": (gzip.compress(b" " * (1000 * 1024 * 1024 // 64)), ((b"content-encoding", b"gzip"),), 413, None),
    "7 bomb of one byte over": (gzip.compress(padded(LIMIT + 1)), ((b"content-encoding", b"gzip"),), 413, None),
    "8 truncated gzip": (gzip.compress(GOOD)[:-9], ((b"content-encoding", b"gzip"),), 400, None),
    "8 damaged gzip": (gzip.compress(GOOD)[:-8] + b"\0" * 8, ((b"content-encoding", b"gzip"),), 400, None),
    "8 no gzip": (GOOD, ((b"content-encoding", b"gzip"),), 400, None),
    "8 zlib is not gzip": (zlib.compress(GOOD), ((b"content-encoding", b"gzip"),), 400, None),
    "8 garbage behind gzip": (gzip.compress(GOOD) + b"x", ((b"content-encoding", b"gzip"),), 400, None),
    "8 two members, two documents": (gzip.compress(GOOD) * 2, ((b"content-encoding", b"gzip"),), 400, PARSE_ERROR),
    "8 the second of two members cut": (MEMBERS[:-9], ((b"content-encoding", b"gzip"),), 400, None),
    "8 bomb in the second member": (
        gzip.compress(GOOD) + gzip.compress(b" " * 5_000_000),
        ((b"content-encoding", b"gzip"),),
        413,
        None,
    ),
    "8 empty gzip": (b"", ((b"content-encoding", b"gzip"),), 400, None),
    "9 br": (GOOD, ((b"content-encoding", b"br"),), 415, "Unsupported Content-Encoding: gzip, or none"),
    "9 twice": (
        gzip.compress(GOOD),
        ((b"content-encoding", b"gzip, gzip"),),
        415,
        "Unsupported Content-Encoding: gzip, or none",
    ),
    "9 unknown": (GOOD, ((b"content-encoding", b"x-zip\xff"),), 415, "Unsupported Content-Encoding: gzip, or none"),
}


@pytest.mark.parametrize(("content", "more", "status", "message"), BODIES.values(), ids=BODIES)
def test_body(
    workspace: Workspace, content: bytes | None, more: tuple[tuple[bytes, bytes], ...], status: int, message: str | None
) -> None:
    answer = workspace.service.send("POST", TRACK, content, with_key(workspace, *more), workspace.key)
    assert answer.status == status
    assert message is None or answer.message == message
    assert answer.errors == []
    workspace.drain()
    assert workspace.stored() == []
    assert workspace.track(GOOD).status == 201


@pytest.mark.parametrize(
    "content",
    [padded(LIMIT), b" " * 1000 + GOOD + b"\r\n" * 1000],
    ids=["exactly the limit", "blanks around"],
)
def test_body_at_the_edge(workspace: Workspace, content: bytes) -> None:
    assert workspace.track(content).counts == {"attributes": 1}
    assert workspace.user("t")["custom_attributes"] == {"n": 1}


def test_compressed_body(workspace: Workspace) -> None:
    plain = GOOD.replace(b'"n":1', b'"n":{"inc":1}')
    once, twice = gzip.compress(plain), gzip.compress(plain[:9]) + gzip.compress(b"") + gzip.compress(plain[9:])
    sent = [
        *((name, once) for name in (b"gzip", b"GZip", b"x-gzip", b" gzip\t")),
        *((name, plain) for name in (b"identity", b"utf-8", b"UTF-8", b"")),
        (b"gzip", twice),
        (b"gzip", gzip.compress(b"\xef\xbb\xbf" + plain)),
        (b"identity", b"\xef\xbb\xbf" + plain),
    ]
    for n, (name, content) in enumerate(sent, 1):
        answer = workspace.service.send(
            "POST", TRACK, content, with_key(workspace, (b"content-encoding", name)), workspace.key
        )
        assert answer.status == 201
        workspace.drain()
        assert workspace.user("t")["custom_attributes"] == {"n": n}


# Content types (10)

CONTENT_TYPES: Final = {
    b"application/json": 201,
    b"Application/JSON": 201,
    b"application/json; charset=utf-8": 201,
    b" application/json ;charset=latin-1": 201,
    b"": 415,
    b"text/plain": 415,
    b"text/json": 415,
    b"application/x-www-form-urlencoded": 415,
    b"application/jsonx": 415,
    b"application/json, text/plain": 415,
    b"application/json\xff": 415,
    b"multipart/form-data; boundary=application/json": 415,
}


@pytest.mark.parametrize(("value", "status"), CONTENT_TYPES.items(), ids=repr)
def test_content_type(on_sqlite: Service, value: bytes, status: int) -> None:
    workspace = on_sqlite.workspace()
    headers = with_key(workspace, (b"content-type", value), json_type=False)
    answer = workspace.service.send("POST", TRACK, GOOD, headers, workspace.key)
    assert answer.status == status
    if status == 415:
        assert answer.body == {"message": "Unsupported Media Type"}


@pytest.mark.parametrize("path", [TRACK, "/users/export/ids"])
def test_no_content_type(workspace: Workspace, path: str) -> None:
    answer = workspace.service.send("POST", path, GOOD, with_key(workspace, json_type=False), workspace.key)
    assert (answer.status, answer.message) == (415, "Unsupported Media Type")


# Methods and paths (11, 19): another method on a known path is an unknown URL

PATHS: Final = [
    ("GET", "/users/track"),
    ("PUT", "/users/track"),
    ("DELETE", "/users/track"),
    ("PATCH", "/users/track"),
    ("OPTIONS", "/users/track"),
    ("BREW", "/users/track"),
    ("GET", "/users/export/ids"),
    ("POST", "/users/track/"),
    ("POST", "//users/track"),
    ("POST", "/users//track"),
    ("POST", "/users/track//"),
    ("POST", "/Users/Track"),
    ("POST", "/users%2Ftrack/x"),
    ("POST", "/users/track%00"),
    ("POST", "/users/track%0d%0aX-Evil:1"),
    ("POST", "/users/track;x=1"),
    ("POST", "/users/unknown"),
    ("POST", "/"),
    ("GET", "/docs"),
    ("GET", "/redoc"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/requests/" + "0" * 36),
    ("GET", "/users/track/%ff"),
    ("POST", "/" + "a" * 10_000),
]


@pytest.mark.parametrize(("method", "path"), PATHS, ids=str)
def test_unknown_path(on_sqlite: Service, method: str, path: str) -> None:
    workspace = on_sqlite.workspace()
    answer = workspace.service.send(method, path, GOOD, with_key(workspace), workspace.key)
    assert (answer.status, answer.body) == (404, INVALID_URL)
    workspace.drain()
    assert workspace.stored() == []


@pytest.mark.parametrize("path", ["/users/track?=", "/users/track?a=b&a=c", "/users/track?api_key=x", "/users/trac%6b"])
def test_path_with_extras(workspace: Workspace, path: str) -> None:
    assert workspace.service.send("POST", path, GOOD, with_key(workspace), workspace.key).status == 201


def test_get_with_a_body(workspace: Workspace) -> None:
    accepted = workspace.track(GOOD)
    path = f"/v1/requests/{accepted.request_id}"
    answer = workspace.service.send("GET", path, b"null", with_key(workspace), workspace.key)
    assert (answer.status, answer.body["status"]) == (200, "applied")


def test_extra_headers(workspace: Workspace) -> None:
    for name in ("X_Braze_Bulk", "X_Braze_Batch", "X_Request_Id"):
        assert workspace.post("/users/track", GOOD, drain=True, **{name: "false"}).status == 201
    assert workspace.user("t")["custom_attributes"] == {"n": 1}


# Keys: 20 to 25, 27, 28, 31 and 32


def authorizations(key: str) -> dict[str, bytes | None]:
    good = key.encode()
    return {
        "20 none": None,
        "21 nothing": b"",
        "21 scheme alone": b"Bearer",
        "21 empty": b"Bearer ",
        "21 blank": b"Bearer      ",
        "22 basic": b"Basic " + good,
        "22 digest": b'Digest username="x"',
        "22 no scheme": good,
        "22 glued": b"Bearer" + good,
        "22 tab": b"Bearer\t" + good,
        "22 in quotes": b'Bearer "' + good + b'"',
        "23 200 KB": b"Bearer " + good * 3000,
        "24 not ASCII": b"Bearer " + good[:-1] + "é".encode(),
        "24 latin-1": b"Bearer " + good[:-1] + b"\xe9",
        "24 emoji": b"Bearer " + "\U0001f511".encode() * 20,
        "32 SQL": b"Bearer onefold_' or 1=1 --_x",
        "32 NUL": b"Bearer " + good[:20] + b"\0" + good[21:],
        "32 newline": b"Bearer " + good + b"\n",
        "32 trailing blank": b"Bearer " + good + b" ",
        "one digit wrong": b"Bearer " + good[:-1] + (b"0" if good[-1:] != b"0" else b"1"),
        "cut": b"Bearer " + good[:-1],
        "two keys": b"Bearer " + good + b", Bearer " + good,
        "well-formed and unknown": b"Bearer " + keys.new().encode(),
        "known id, other secret": b"Bearer " + forged(key).encode(),
    }


def forged(key: str) -> str:
    """The public id of a key with another secret and a right checksum."""
    body = "_".join((*key.split("_")[:2], keys.new().split("_")[2][:-6]))
    return body + keys._checksum(body)


@pytest.mark.parametrize("name", authorizations("x" * 67))
@pytest.mark.parametrize("path", [TRACK, "/users/export/ids", "/v1/requests/x"])
def test_wrong_key(on_sqlite: Service, name: str, path: str) -> None:
    workspace = on_sqlite.workspace()
    value = authorizations(workspace.key)[name]
    headers: Headers = [(b"content-type", b"application/json")]
    if value is not None:
        headers.append((b"authorization", value))
    answer = workspace.service.send("GET" if "/v1/" in path else "POST", path, GOOD, headers, workspace.key)
    assert (answer.status, answer.body) == (401, INVALID_KEY)
    assert not [header for header in answer.headers if header.startswith("x-ratelimit")]
    workspace.drain()
    assert workspace.stored() == []


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER "])
def test_the_scheme_has_no_case(workspace: Workspace, scheme: bytes) -> None:
    headers = [(b"authorization", scheme + workspace.key.encode()), (b"content-type", b"application/json")]
    assert workspace.service.send("POST", TRACK, GOOD, headers, workspace.key).status == 201


def test_14_two_authorizations(workspace: Workspace) -> None:
    """One good key beside a wrong one lets nobody choose which is meant; either answer is fine, an error is not."""
    wrong = (b"authorization", b"Bearer " + keys.new().encode())
    for headers in (with_key(workspace, wrong), [wrong, *with_key(workspace)]):
        assert workspace.service.send("POST", TRACK, GOOD, headers, workspace.key).status in (201, 401)


def test_25_revoked(workspace: Workspace) -> None:
    service = workspace.service
    for used_before in (False, True):
        name = f"soon gone {used_before}"
        key = keys.create(service.database, workspace.id, name, ["users.track"], times_now())
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if used_before:
            assert service.send("POST", TRACK, GOOD, headers, key).status == 201
        keys.revoke(service.database, workspace.id, name, times_now())
        if used_before:
            continue  # it may go on for the time that a process remembers a key
        answer = service.send("POST", TRACK, GOOD, headers, key)
        assert (answer.status, answer.body) == (401, INVALID_KEY)


@pytest.mark.parametrize(
    ("permissions", "path", "status"),
    [
        (["users.identify"], TRACK, 403),
        ([], TRACK, 403),
        (["users.track.sync", "users.export.ids"], TRACK, 403),
        (["users.track"], TRACK, 201),
        (["users.track"], "/users/export/ids", 403),
        (["users.export.ids"], "/users/export/ids", 201),
    ],
    ids=str,
)
def test_27_permission(workspace: Workspace, permissions: list[str], path: str, status: int) -> None:
    key = workspace.service.key(workspace.id, *permissions)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = GOOD if path == TRACK else b'{"external_ids":["a"]}'
    answer = workspace.service.send("POST", path, body, headers, key)
    assert answer.status == status
    if status == 403:
        assert answer.body == {"message": "Access Denied"}
        assert answer.headers["X-RateLimit-Remaining"] == answer.headers["X-RateLimit-Limit"]
        workspace.drain()
        assert workspace.stored() == []


def test_the_key_is_looked_at_before_the_body(workspace: Workspace) -> None:
    """401 and 403 come first, so that nobody without a key learns anything or costs anything."""
    headers = {"Content-Type": "text/plain"}
    assert workspace.service.send("POST", TRACK, b"{", headers).status == 401
    key = workspace.service.key(workspace.id, "users.identify")
    headers["Authorization"] = f"Bearer {key}"
    assert workspace.service.send("POST", TRACK, b"{", headers, key).status == 403


def test_28_other_workspace(service: Service) -> None:
    """A key acts in its own workspace only, whatever identifiers it names."""
    ours, theirs = service.workspace(), service.workspace()
    theirs.track({"attributes": [{"external_id": "same", "email": "same@example.org", "who": "theirs"}]})
    (before,) = theirs.export(external_ids=["same"])
    answer = ours.track(
        {
            "attributes": [
                {"braze_id": before["braze_id"], "who": "ours"},
                {"external_id": "same", "who": "ours"},
                {"email": "same@example.org", "_update_existing_only": True, "who": "ours"},
            ]
        }
    )
    assert answer.counts == {"attributes": 3}
    assert ours.skipped(answer.request_id) == [
        ("attributes", 0, "", "profile_not_found"),
        ("attributes", 2, "", "profile_not_found"),
    ]
    assert theirs.export(external_ids=["same"]) == [before]
    assert [user["custom_attributes"] for user in ours.stored()] == [{"who": "ours"}]
    answer = ours.post("/users/export/ids", {"braze_id": before["braze_id"]})
    assert answer.body == {"users": [], "invalid_user_ids": [before["braze_id"]], "message": "success"}


@pytest.mark.parametrize("where", ["query", "body", "header", "cookie"])
def test_31_key_elsewhere(workspace: Workspace, where: str) -> None:
    key = workspace.key
    path = f"{TRACK}?api_key={key}" if where == "query" else TRACK
    body = json.dumps({"attributes": [{"external_id": "t"}], "api_key": key if where == "body" else "x"}).encode()
    headers = {"Content-Type": "application/json"}
    if where == "header":
        headers["X-Api-Key"] = key
    if where == "cookie":
        headers["Cookie"] = f"Authorization=Bearer {key}"
    answer = workspace.service.send("POST", path, body, headers, key)
    assert (answer.status, answer.body) == (401, INVALID_KEY)


def test_31_api_key_in_a_good_body_is_stored_nowhere(workspace: Workspace) -> None:
    body = {"api_key": "secret-of-a-client", "attributes": [{"external_id": "t", "n": 1}]}
    answer = workspace.track(body)
    assert answer.status == 201
    assert "secret-of-a-client" not in answer.text
    assert workspace.user("t")["custom_attributes"] == {"n": 1}


# What is on every answer


def test_rate_headers(workspace: Workspace) -> None:
    for answer, limit in (
        (workspace.track(GOOD), 3000),
        (workspace.track(b"{"), 3000),
        (workspace.track(GOOD, Content_Encoding="br"), 3000),
        (workspace.post("/users/export/ids", {"external_ids": ["t"]}), 250),
        (workspace.status("x"), 250_000),
    ):
        assert answer.headers["X-RateLimit-Limit"] == str(limit)
        assert 0 <= int(answer.headers["X-RateLimit-Remaining"]) < limit
        # Epoch seconds, never in the past: a client sleeps until then.
        assert int(answer.headers["X-RateLimit-Reset"]) * 1_000_000 >= times_now() - 1_000_000
        assert "Retry-After" not in answer.headers


def test_what_the_bucket_counts(service: Service) -> None:
    """400 takes a token; 401, 403, 404 and 429 do not (D40)."""
    workspace = service.workspace("mau_cy_24_25", hourly_limit=4, burst_limit=1000)
    no_permission = service.key(workspace.id, "users.identify")
    remaining = []
    for body in (GOOD, b"{", GOOD, GOOD):
        remaining.append(workspace.track(body, drain=False).headers["X-RateLimit-Remaining"])
        for key in ("nonsense", no_permission):
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            assert service.send("POST", TRACK, GOOD, headers).status in (401, 403)
        assert service.send("POST", "/users/track/", GOOD, workspace.headers()).status == 404
    assert remaining == ["3", "2", "1", "0"]
    for _ in range(3):
        refused = workspace.track(GOOD, drain=False)
        assert refused.status == 429
        assert refused.body == {"message": "Rate Limited", "limit": "hourly"}
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        seconds = int(refused.headers["Retry-After"])
        assert refused.headers["X-RateLimit-Retry-After"] == str(seconds)
        assert 880 <= seconds <= 900
        assert 0 < int(refused.headers["X-RateLimit-Reset"]) - times_now() // 1_000_000 <= 901


def test_probes_need_no_key(service: Service) -> None:
    for path in ("/livez", "/readyz"):
        answer = service.send("GET", path)
        assert (answer.status, answer.body) == (200, {"message": "success"})


def test_answers_are_kept_by_nobody(workspace: Workspace) -> None:
    """Neither on the way, nor by a browser as something else than they are; refusals as well."""
    for path, body in (("/users/export/ids", {"external_ids": ["a"]}), ("/users/track", [])):
        answer = workspace.post(path, body)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
