"""Merges and histories page by page: all of them once, in order, and no page larger than it may be."""

from typing import Any

import pytest

from app.contract.cursor import BAD_CURSOR
from app.store.merges import MAX_PAGE_BYTES
from tests.api.harness import Json, Service, Workspace


def get(workspace: Workspace, path: str, **query: object) -> Any:
    path += "?" + "&".join(f"{name}={value}" for name, value in query.items())
    return workspace.service.send("GET", path, None, workspace.headers(), workspace.key)


def pages(workspace: Workspace, path: str, array: str, **query: object) -> list[list[Json]]:
    answer = get(workspace, path, **query)
    assert answer.status == 200, answer.text
    found = [answer.body[array]]
    while "next_cursor" in answer.body:
        answer = get(workspace, path, **query, cursor=answer.body["next_cursor"])
        found.append(answer.body[array])
    return found


def fold(workspace: Workspace, many: int, large: int = 0) -> None:
    """Merge so many others into one, five a request, so that the places in a request count.

    Everybody has so many `large` attributes of 75 KB.
    """
    names = [f"m{n}" for n in range(many)]
    for name in ["kept", *names]:
        custom = {f"a{n}": {f"k{m}": f"{name:x>250}" for m in range(300)} for n in range(large)}
        assert workspace.track({"attributes": [{"external_id": name, **custom}]}, drain=False).status == 201
    for n in range(0, many, 5):
        pairs = [
            {"identifier_to_merge": {"external_id": name}, "identifier_to_keep": {"external_id": "kept"}}
            for name in names[n : n + 5]
        ]
        workspace.post("/users/merge", {"merge_updates": pairs}, drain=False)
    workspace.drain()


@pytest.mark.parametrize(("limit", "sizes"), [(5, [5, 5, 2]), (6, [6, 6]), (12, [12]), (1, [1] * 12)])
def test_every_merge_once_the_newest_first(workspace: Workspace, limit: int, sizes: list[int]) -> None:
    fold(workspace, 12)
    whole = get(workspace, "/v1/merges", external_id="kept").body["merges"]
    found = pages(workspace, "/v1/merges", "merges", external_id="kept", limit=limit)
    assert [len(page) for page in found] == sizes
    assert [merge for page in found for merge in page] == whole
    assert [merge["merged_at"] for merge in whole] == sorted((merge["merged_at"] for merge in whole), reverse=True)
    assert get(workspace, "/v1/merges", external_id="kept", limit=3, offset=4).body["merges"] == whole[4:7]


def test_merges_that_come_meanwhile_are_in_front(workspace: Workspace) -> None:
    fold(workspace, 6)
    whole = get(workspace, "/v1/merges", external_id="kept").body["merges"]
    first = get(workspace, "/v1/merges", external_id="kept", limit=4).body
    workspace.track({"attributes": [{"external_id": "late"}]})
    pair = {"identifier_to_merge": {"external_id": "late"}, "identifier_to_keep": {"external_id": "kept"}}
    workspace.post("/users/merge", {"merge_updates": [pair]})
    rest = get(workspace, "/v1/merges", external_id="kept", limit=4, cursor=first["next_cursor"]).body
    assert first["merges"] + rest["merges"] == whole
    assert "next_cursor" not in rest


def test_a_page_ends_early_where_plans_are_large(workspace: Workspace) -> None:
    fold(workspace, 12, large=3)
    found = pages(workspace, "/v1/merges", "merges", external_id="kept", limit=100)
    assert len(found) == 2
    assert sum(map(len, found)) == 12
    sizes = [sum(len(str(merge)) for merge in page) for page in found]
    assert max(sizes) < MAX_PAGE_BYTES + 1_000_000


@pytest.mark.parametrize(("limit", "sizes"), [(4, [4, 4, 2]), (5, [5, 5]), (1, [1] * 10), (10, [10])])
def test_every_line_of_a_history_once_the_oldest_first(workspace: Workspace, limit: int, sizes: list[int]) -> None:
    fold(workspace, 9)
    (user,) = workspace.export(external_ids=["kept"])
    path = f"/v1/profiles/{user['braze_id']}/history"
    whole = get(workspace, path).body["history"]
    assert [line["what"] for line in whole] == ["created"] + ["merged"] * 9
    found = pages(workspace, path, "history", limit=limit)
    assert [len(page) for page in found] == sizes
    assert [line for page in found for line in page] == whole


def test_the_history_of_a_merged_profile_has_pages_too(workspace: Workspace) -> None:
    fold(workspace, 1)
    (merge,) = get(workspace, "/v1/merges", external_id="kept").body["merges"]
    path = f"/v1/profiles/{merge['merged_braze_id']}/history"
    found = pages(workspace, path, "history", limit=1)
    assert [line["what"] for page in found for line in page] == ["created", "merged_into"]


def test_cursors_belong_to_their_list(service: Service) -> None:
    ours, theirs = service.workspace("legacy"), service.workspace("legacy")
    for workspace in (ours, theirs):
        fold(workspace, 3)
    (user,), (other,) = ours.export(external_ids=["kept"]), theirs.export(external_ids=["kept"])
    merges = get(ours, "/v1/merges", external_id="kept", limit=1).body["next_cursor"]
    history = get(ours, f"/v1/profiles/{user['braze_id']}/history", limit=1).body["next_cursor"]
    for workspace, path, query in [
        (theirs, "/v1/merges", {"external_id": "kept", "cursor": merges}),
        (ours, "/v1/merges", {"external_id": "m1", "cursor": merges}),
        (ours, "/v1/merges", {"braze_id": user["braze_id"], "cursor": merges}),
        (ours, "/v1/merges", {"external_id": "kept", "cursor": history}),
        (ours, "/v1/merges", {"external_id": "kept", "cursor": "x"}),
        (ours, "/v1/merges", {"email": "nobody", "cursor": merges}),
        (theirs, f"/v1/profiles/{other['braze_id']}/history", {"cursor": history}),
        (ours, f"/v1/profiles/{user['braze_id']}/history", {"cursor": merges}),
        (ours, f"/v1/profiles/{user['braze_id']}/history", {"cursor": history[:-1]}),
    ]:
        answer = get(workspace, path, **query)
        assert (answer.status, answer.body) == (400, {"message": BAD_CURSOR}), (path, query)
    for limit in ("0", "1001", "x", "-1"):
        assert get(ours, f"/v1/profiles/{user['braze_id']}/history", limit=limit).status == 400
