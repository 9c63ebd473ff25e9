"""Segments at the console: built by lines and as JSON, counted, kept, and why somebody is in one."""

import json
import re
from urllib.parse import urlencode

import pytest

from app.services.accounts import OPERATOR, READER
from tests.api.harness import Service, Workspace
from tests.console.desk import HOSTILE, Desk, texts

#: The article's: who has no external id, and is a lead.
LINES = [
    ("field", "external_id"), ("name", ""), ("op", "is_blank"), ("value", ""), ("days", ""),
    ("field", "custom_attribute"), ("name", "is_lead_profile"), ("op", "is_true"), ("value", ""), ("days", ""),
]  # fmt: skip


def lead(workspace: Workspace) -> None:
    alias = {"alias_label": "lead", "alias_name": "l1"}
    workspace.track(
        {
            "attributes": [
                {
                    "user_alias": alias,
                    "_update_existing_only": False,
                    "is_lead_profile": True,
                    "email": "l@example.org",
                },
                {"external_id": "ada", "is_lead_profile": True},
                {"external_id": "bob", "is_lead_profile": False},
            ]
        }
    )


def test_the_segment_of_leads(desk: Desk, workspace: Workspace) -> None:
    lead(workspace)
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}/segments"
    built = browser.get(f"{base}/build?{urlencode(LINES)}")
    assert "external_id is_blank AND custom_attribute is_lead_profile is_true" in texts(built)
    count = re.search(r'hx-get="([^"]+/count\?[^"]+)"', built.text)
    assert count is not None
    shown = texts(browser.get(count[1].replace("&amp;", "&"), HX_Request="true"))
    assert re.search(r"People\s+1\s", shown), shown
    definition = re.search(r'name="definition" value="([^"]+)"', built.text)
    assert definition is not None
    text = definition[1].replace("&#34;", '"')
    kept = browser.post(base, {"name": "Leads", "definition": text})
    assert kept.status_code == 303, texts(kept)
    one = kept.headers["location"]
    page = texts(browser.get(one))
    assert "The segment Leads is kept." in page
    assert "Leads" in texts(browser.get(base))
    inside, outside = (
        texts(browser.get(f"{one}?by={by}&who={who}"))
        for by, who in (("email", "l@example.org"), ("external_id", "ada"))
    )
    assert (" in it " in inside, "not in it" in outside) == (True, True)
    assert "Nobody has this identifier" in texts(browser.get(f"{one}?by=external_id&who=nobody"))
    assert browser.post(f"{base}/delete", {"id": one.rpartition("/")[2]}).status_code == 303
    assert browser.get(one).status_code == 404
    assert [act.act for act in desk.acts(workspace)][::-1] == ["segments.keep", "segments.delete"]
    assert "Keep the segment" not in desk.logged_in(READER, workspace).get(f"{base}/build?{urlencode(LINES)}").text


LINE_TABLE = [
    (("money_spent", "", "more_than", "12.5", ""), {"value": 12.5}),
    (("country", "", "is_any_of", "DE, FR", ""), {"value": ["DE", "FR"]}),
    (("custom_attribute", "tier", "equals", "gold", ""), {"name": "tier", "value": "gold"}),
    (("custom_attribute", "n", "includes_value", "3", ""), {"name": "n", "value": 3}),
    (("custom_attribute", "n", "includes_any_of", "3,true,x", ""), {"name": "n", "value": [3, True, "x"]}),
    (("custom_attribute", "n", "does_not_equal", "7", ""), {"name": "n", "value": 7}),
    (("first_name", "", "does_not_equal", "7", ""), {"value": "7"}),
    (("last_purchase", "", "less_than_x_days_ago", "3", ""), {"value": 3}),
    (("x_events_in_y_days", "opened", "more_than", "2", "7"), {"name": "opened", "x": 2, "y": 7}),
    (("subscription_group", "news", "is_subscribed", "", ""), {"subscription_group_id": "news"}),
    (("test_user", "", "is_true", "", ""), {}),
]


@pytest.mark.parametrize(("line", "members"), LINE_TABLE, ids=[row[0][0] + " " + row[0][2] for row in LINE_TABLE])
def test_a_line_is_the_filter_of_the_api(on_sqlite: Service, line: tuple[str, ...], members: dict[str, object]) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    query = urlencode(dict(zip(("field", "name", "op", "value", "days"), line, strict=True)))
    browser = desk.logged_in(OPERATOR, workspace)
    built = browser.get(f"/console/{workspace.id}/segments/build?{query}")
    assert built.status_code == 200
    definition = re.search(r'name="definition" value="([^"]+)"', built.text)
    assert definition is not None
    document = json.loads(definition[1].replace("&#34;", '"'))
    filters = [{"field": line[0], "op": line[2], **members}]
    assert document == {"groups": [{"op": "AND", "filters": filters}]}
    answer = workspace.post("/v1/segments", {"name": "s", **document}, drain=False)
    assert answer.status == 201, answer.text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"field": "country", "op": "within"}, "needs an 'op' of 'country'"),
        ({"field": "no_such", "op": "is_blank"}, "has no known 'field'"),
        ({"field": "x_events_in_y_days", "name": "a", "op": "more_than", "value": "x", "days": "7"}, "needs 'x'"),
        ({"definition": "{"}, "JSON"),
        ({"definition": '{"sample": 5}'}, "no JSON object that can be stored"),
    ],
    ids=["operator", "field", "number", "no JSON", "another member"],
)
def test_what_is_no_segment(on_sqlite: Service, query: dict[str, str], message: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    """Said where it is built, or where it is counted, or at the latest where it is kept."""
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}/segments"
    built = browser.get(f"{base}/build?{urlencode(query)}")
    said = texts(built)
    count = re.search(r'hx-get="([^"]+/count\?[^"]+)"', built.text)
    if count is not None:
        said += texts(browser.get(count[1].replace("&amp;", "&")))
    assert message in said
    definition = re.search(r'name="definition" value="([^"]+)"', built.text)
    if definition is not None:
        kept = browser.post(
            base, {"name": "s", "definition": definition[1].replace("&#34;", '"').replace("&#39;", "'")}
        )
        assert (kept.status_code, message in texts(kept)) == (422, True)
    assert "No segment is kept yet" in texts(browser.get(base))


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(on_sqlite: Service, text: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}/segments"
    sent = text.encode("utf-8", "replace").decode()
    whole = json.dumps(
        {"groups": [{"filters": [{"field": "first_name", "op": "equals", "value": sent.replace("\0", "")[:500]}]}]}
    )
    pages = [
        browser.post(base, {"name": sent[:250] or "x", "definition": whole}),
        browser.post(base, {"name": "x", "definition": sent}),
        browser.post(f"{base}/delete", {"id": sent}),
    ]
    for name in ("field", "name", "op", "value", "days", "definition", "rows", "join"):
        query = {"field": "custom_attribute", "name": "n", "op": "equals", "value": "v", name: sent}
        pages.append(browser.get(f"{base}/build?{urlencode(query)}"))
    pages += [browser.get(f"{base}/count?{urlencode({'definition': sent})}"), browser.get(base)]
    for page in pages:
        assert page.status_code in (200, 303, 404, 422)
        assert "<script>window" not in page.text
        assert "<img" not in page.text
        assert "50337" not in page.text
