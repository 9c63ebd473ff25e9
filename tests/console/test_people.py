"""People and merges in the console: found, shown, compared, merged, explained, and taken apart again."""

import re
from typing import Any

import pytest

from app.services.accounts import OPERATOR, READER
from tests.api.duplicates import drains
from tests.api.harness import Workspace
from tests.api.jobs import work_off
from tests.console.desk import HOSTILE, Browser, Desk, texts
from workers import replay

PEOPLE: dict[str, Any] = {
    "attributes": [
        {"external_id": "ada", "email": "ada@example.org", "first_name": "Ada", "tier": "gold"},
        {
            "user_alias": {"alias_label": "web", "alias_name": "guest-7"},
            "email": "ada@example.org",
            "city": "Ulm",
            "_update_existing_only": False,
        },
        {"external_id": "bob", "email": "bob@example.org", "first_name": "Bob", "tier": "silver"},
    ],
    "events": [{"external_id": "ada", "name": "view", "time": "2026-11-27", "properties": {"page": "home"}}],
    "purchases": [{"external_id": "ada", "product_id": "mug", "currency": "USD", "price": 7.5, "time": "2026-11-27"}],
}


def ids_in(response: Any, workspace: Workspace) -> list[str]:
    """braze_ids that a page links to, each once."""
    return list(dict.fromkeys(re.findall(rf"/console/{workspace.id}/people/([0-9a-f]{{24}})\"", response.text)))


def post(browser: Browser, workspace: Workspace, path: str, **fields: str) -> Any:
    """An act that waits until it is applied."""
    with workspace.service.draining(workspace.id):
        return browser.post(path, fields)


def test_a_person_is_found_merged_explained_and_taken_apart(desk: Desk, workspace: Workspace) -> None:
    workspace.post("/users/track", PEOPLE)
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}"
    found = browser.get(f"{base}/people?q=ada@example.org")
    both = ids_in(found, workspace)
    assert len(both) == 2
    ada, guest = sorted(both, key=lambda braze_id: "external_id" not in browser.get(f"{base}/people/{braze_id}").text)
    shown = texts(browser.get(f"{base}/people/{ada}"))
    for each in ("Ada", "ada@example.org", "gold", "view", "mug", "1 for 7.50 USD", '{"page": "home"}', "created"):
        assert each in shown, each

    several = browser.get(f"{base}/merges?keep=ada@example.org&merge={guest}")
    assert "Several people are found" in several.text
    assert ids_in(several, workspace) == [guest]
    compared = browser.get(f"{base}/merges?keep={ada}&merge=web")
    assert "Several" not in compared.text
    compared = browser.get(f"{base}/merges?keep={ada}&merge={guest}")
    assert "alias web: guest-7" in texts(compared)
    done = post(browser, workspace, f"{base}/merges", keep=ada, merge=guest)
    assert (done.status_code, done.headers["location"]) == (303, f"{base}/people/{ada}/why")
    why = browser.get(f"{base}/people/{ada}/why")
    assert "They are one person now." in why.text
    assert [act.act for act in desk.acts(workspace)] == ["people.merge"]
    requests = set(re.findall(rf"{base}/requests/one/[^\"]+", why.text))
    assert requests
    assert [browser.get(path).status_code for path in requests] == [200] * len(requests)
    shown = texts(why)
    for each in (guest, "alias web: guest-7", "the key"):
        assert each in shown, each
    assert "merged" in texts(browser.get(f"{base}/people/{ada}"))
    gone = browser.get(f"{base}/people/{guest}")
    assert (gone.status_code, "Merged into another person" in gone.text, ids_in(gone, workspace)[0]) == (404, True, ada)

    (undo,) = re.findall(rf"{base}/merges/[0-9a-f]{{24}}/undo", why.text)
    preview = browser.get(undo)
    assert "alias web: guest-7" in texts(preview)
    back = post(browser, workspace, undo)
    assert back.headers["location"] == f"{base}/people/{guest}"
    assert "This person is one of their own again." in browser.get(f"{base}/people/{guest}").text
    assert "restored" in texts(browser.get(f"{base}/people/{guest}"))
    again = post(browser, workspace, undo)
    assert (again.status_code, "already undone" in again.text) == (409, True)
    assert browser.get(undo).status_code == 409
    assert replay.differences(desk.service.database, workspace.id, workspace.secret) == []


def test_one_is_taken_out_of_three(desk: Desk, workspace: Workspace) -> None:
    workspace.post("/users/track", {"attributes": [{"external_id": name, "of": name} for name in ("a", "b", "c")]})
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}"
    a, b, c = (ids_in(browser.get(f"{base}/people?q={name}"), workspace)[0] for name in ("a", "b", "c"))
    for merged, kept in ((b, a), (a, c)):
        assert post(browser, workspace, f"{base}/merges", keep=kept, merge=merged).status_code == 303
    why = browser.get(f"{base}/people/{c}/why")
    undos = re.findall(rf"{base}/merges/[0-9a-f]{{24}}/undo", why.text)
    assert len(undos) == 2
    preview = texts(browser.get(undos[1]))  # the newest one stands first
    assert "Merges that stand on this one" in preview
    assert post(browser, workspace, undos[1]).headers["location"] == f"{base}/people/{b}"
    assert browser.get(f"{base}/people/{b}").status_code == 200
    assert browser.get(f"{base}/people/{a}").status_code == 404
    assert replay.differences(desk.service.database, workspace.id, workspace.secret) == []


def test_a_rule_is_named(desk: Desk, workspace: Workspace) -> None:
    workspace.post("/users/track", PEOPLE)
    workspace.post("/v1/merge_runs", {}, drain=False)
    assert work_off(desk.service, after_step=drains(workspace)) == ["done"]
    browser, base = desk.logged_in(READER, workspace), f"/console/{workspace.id}"
    (ada,) = ids_in(browser.get(f"{base}/people?q=ada@example.org"), workspace)
    why = browser.get(f"{base}/people/{ada}/why")
    assert "the merge rule email, run by" in " ".join(texts(why).split())
    assert "Take this person out" not in why.text  # a reader may only look


@pytest.mark.parametrize(
    ("keep", "merge", "status", "message"),
    [
        ("", "", 422, "Choose two people."),
        ("{ada}", "{ada}", 409, "Both are the same person."),
        ("{ada}", "0" * 24, 409, "One of them is not there any more."),
    ],
)
def test_merges_that_are_none(
    desk: Desk, workspace: Workspace, keep: str, merge: str, status: int, message: str
) -> None:
    workspace.post("/users/track", {"attributes": [{"external_id": "ada"}]})
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}"
    (ada,) = ids_in(browser.get(f"{base}/people?q=ada"), workspace)
    fields = {"keep": keep.format(ada=ada), "merge": merge.format(ada=ada)}
    answer = post(browser, workspace, f"{base}/merges", **fields)
    assert (answer.status_code, message in texts(answer)) == (status, True)


def test_hostile_values_and_fields(desk: Desk, workspace: Workspace) -> None:
    values = [text for text in HOSTILE if "\0" not in text and text.isprintable() and len(text) < 300]
    who = {"external_id": values[0], "email": "h@example.org"}
    workspace.post("/users/track", {
        "attributes": [
            {**who, "first_name": values[1], **{f"a{n}": text for n, text in enumerate(values)}},
            {"external_id": "other", "email": "h@example.org", "first_name": values[2]},
        ],
        "events": [{**who, "name": text, "time": "2026-11-27", "properties": {"p": text}} for text in values],
    })  # fmt: skip
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}"
    one, other = ids_in(browser.get(f"{base}/people?q=h@example.org"), workspace)
    pages = [browser.get(f"{base}/people/{one}"), browser.get(f"{base}/merges?keep={one}&merge={other}")]
    post(browser, workspace, f"{base}/merges", keep=one, merge=other)
    pages.append(browser.get(f"{base}/people/{one}/why"))
    (undo,) = re.findall(rf"{base}/merges/[0-9a-f]{{24}}/undo", pages[-1].text)
    pages.append(browser.get(undo))
    for text in HOSTILE:
        sent = text.encode("utf-8", "replace").hex()
        queries = (f"people?q={sent}", f"people?cursor={sent}", f"merges?keep={sent}&merge={sent}")
        pages += [browser.get(f"{base}/{query}") for query in queries]
        pages.append(post(browser, workspace, f"{base}/merges", keep=text, merge=text))
    for page in pages:
        assert "<script>window" not in page.text
        assert "<img" not in page.text
        assert "50337" not in page.text
