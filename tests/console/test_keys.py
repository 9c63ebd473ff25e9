"""Keys: made and shown once, replaced, revoked; hostile names are text."""

import re

import pytest

from app.services.accounts import ADMIN, READER
from app.store import keys
from tests.api.harness import Workspace
from tests.console.desk import HOSTILE, Desk, texts


def test_a_key_from_beginning_to_end(desk: Desk, workspace: Workspace) -> None:
    browser = desk.logged_in(ADMIN, workspace)
    base = f"/console/{workspace.id}/keys"
    assert browser.get(f"{base}/new").status_code == 200
    fields = {"name": "shop", "permission": ["users.track", "users.export.ids"], "networks": "127.0.0.1\n10.0.0.0/8"}
    made = browser.post(base, {**fields, "expires": "2999-01-01"})
    assert made.status_code == 201
    key = re.search(r'value="(onefold_\w+)"', made.text)
    assert key is not None
    record = keys.find(desk.service.database, key[1].split("_")[1])
    assert record is not None
    assert (record.key_name, record.permissions, record.ip_allowlist) == (
        "shop", frozenset(fields["permission"]), ("127.0.0.1/32", "10.0.0.0/8"),
    )  # fmt: skip
    listed = browser.get(base)
    assert key[1] not in listed.text
    assert "2999-01-01 00:00:00+00:00" in texts(listed)
    like = browser.get(f"{base}/new?like={record.key_id}").text
    assert re.findall(r'value="([\w.]+)" checked', like) == ["users.track", "users.export.ids"]
    again = browser.post(base, fields)
    assert (again.status_code, "A key of this name exists" in again.text) == (422, True)
    gone = browser.post(f"{base}/revoke", {"name": "shop"})
    assert gone.headers["location"] == base
    told = browser.get(base)
    assert "The key shop is revoked." in told.text
    assert "The key shop is revoked." not in browser.get(base).text  # said once
    assert keys.find(desk.service.database, record.key_id) is None
    browser.post(f"{base}/revoke", {"name": "shop"})
    assert "somebody may have revoked it already" in browser.get(base).text
    acts = [(act.act, act.target, act.status) for act in desk.acts(workspace)]
    assert acts == [
        ("keys.revoke", "shop", 303), ("keys.revoke", "shop", 303), ("keys.create", "", 422),
        ("keys.create", "shop", 201),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "A name has 1 to 255 printable characters"),
        ({"permission": []}, "A key needs a permission"),
        ({"permission": ["users.everything"]}, "Unknown permission"),
        ({"networks": "10.0.0.1/8"}, "A network is an address"),
        ({"expires": "2001-01-01"}, "a time in the future"),
        ({"expires": "soon"}, "a time in the future"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_no_key(desk: Desk, workspace: Workspace, fields: dict[str, object], message: str) -> None:
    browser = desk.logged_in(ADMIN, workspace)
    answer = browser.post(f"/console/{workspace.id}/keys", {"name": "k", "permission": ["users.track"], **fields})
    assert (answer.status_code, message in texts(answer)) == (422, True)


def test_a_reader_sees_no_forms(desk: Desk, workspace: Workspace) -> None:
    shown = desk.logged_in(READER, workspace).get(f"/console/{workspace.id}/keys").text
    assert ("New key" in shown, "Revoke" in shown) == (False, False)


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(desk: Desk, workspace: Workspace, text: str) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/keys"
    for name in ("name", "permission", "networks", "expires"):
        answer = browser.post(base, {"name": f"k {name}", "permission": "users.track", name: text})
        assert answer.status_code in (201, 422), name
        for page in (answer, browser.get(base), browser.post(f"{base}/revoke", {"name": text})):
            assert "<script>window" not in page.text
            assert "<img" not in page.text
            assert "50337" not in page.text
    assert browser.get(f"{base}/new?like={text.encode('utf-8', 'replace').hex()}").status_code == 200
