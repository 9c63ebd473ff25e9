"""No value of a client is in any log, whatever was wrong with its request, at the most talkative level.

Every request carries MARK in all places that a client fills: path, query, headers, body.
"""

import json
from collections.abc import Iterator
from typing import Final

import httpx

from tests.api.hostile_json import NO_JSON, NO_REQUEST, ONE_OBJECT, VALUES, around
from tests.api.refused_objects import INJECTIONS, REFUSED, T
from tests.e2e.service import Service

MARK: Final = "zq7mark"
TRACK: Final = "/users/track"


def bodies() -> Iterator[bytes]:
    """Bodies that are no JSON, no request, refused in part or taken, all with MARK in them."""
    for body in (*NO_JSON.values(), *NO_REQUEST.values(), *(around(raw) for raw, _ in VALUES.values())):
        yield body.replace(b'"external_id":"', b'"external_id":"' + MARK.encode())
    for obj in ONE_OBJECT.values():
        yield b'{"attributes":[' + obj.replace(b"bad", MARK.encode()) + b',{"external_id":"%s"}]}' % MARK.encode()
    for array, refused, _, _ in REFUSED.values():
        extra = {"first_name": MARK, MARK: MARK}
        yield json.dumps({array: [{**extra, **refused} if isinstance(refused, dict) else refused]}).encode()
    for text in (MARK, *INJECTIONS):
        marked = f"{MARK}{text}"
        event = {"external_id": marked, "name": marked, "time": T, "properties": {marked: [marked]}}
        attributes = {"external_id": marked, "email": f"{MARK}@example.org", "phone": marked, marked: marked}
        alias = {"alias_name": marked, "alias_label": marked}
        yield json.dumps(
            {"attributes": [attributes, {"user_alias": alias, "n": {"inc": 1}}], "events": [event]}
        ).encode()


def test_no_value_in_a_log(onefold: Service) -> None:
    key = onefold.workspace("legacy")
    refused = onefold.workspace("legacy", "users.identify")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    statuses: set[int] = set()
    with httpx.Client(base_url=onefold.url, headers=headers, timeout=30) as client:
        last = ""
        for body in bodies():
            answer = client.post(TRACK, content=body)
            statuses.add(answer.status_code)
            last = answer.headers["x-request-id"] if answer.status_code == 201 else last
        for more in (
            {"Authorization": f"Bearer {MARK}"},
            {"Authorization": f"Bearer {refused}"},
            {"Content-Type": MARK},
            {"Content-Encoding": MARK},
            {"Content-Encoding": "gzip"},
            {"Idempotency-Key": MARK * 60},
            {"X-Request-Id": MARK, "User-Agent": MARK, "Cookie": MARK, "X-Forwarded-For": MARK},
        ):
            statuses.add(client.post(TRACK, content=around(b"1"), headers=more).status_code)
        for _ in range(2):
            for body in (b'{"attributes":[{"external_id":"%s"}]}', b'{"attributes":[{"external_id":"%s2"}]}'):
                again = client.post(TRACK, content=body % MARK.encode(), headers={"Idempotency-Key": MARK})
                statuses.add(again.status_code)
        statuses.add(client.get(f"/{MARK}?{MARK}={MARK}").status_code)
        statuses.add(client.get(f"/v1/requests/{MARK}?wait={MARK}").status_code)
        selectors = {
            "external_ids": [MARK],
            "email_address": f"{MARK}@example.org",
            "fields_to_export": [MARK, "phone"],
        }
        statuses.add(client.post("/users/export/ids", json=selectors).status_code)
        assert client.get(f"/v1/requests/{last}?wait=30").json()["status"] == "applied"
    assert statuses == {201, 400, 401, 403, 404, 415, 422}
    logs = {path.name: path.read_text() for path in (onefold.data_dir / "logs").iterdir()}
    assert {"api.log", "sweeper.log", "worker.log"} <= logs.keys()
    assert '"event": ' in logs["api.log"]
    for name, text in (logs | {"up.log": onefold.output}).items():
        for secret in (MARK, key, refused, key.split("_")[2]):
            assert secret not in text, name
