"""Segments at the console: built by lines and as JSON, counted, kept, and why somebody is in one."""

import json
import re
from html import unescape
from urllib.parse import urlencode

import pytest

from app.console.segments.lines import MOST_GROUPS, MOST_LINES, lines_of
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


#: Two groups, and the definition that they are.
GROUPS = [
    ("join", "OR"), ("group_op", "AND"), ("group_op", "OR"),
    ("group", "0"), ("field", "external_id"), ("name", ""), ("op", "is_blank"), ("value", ""), ("days", ""),
    ("group", "1"), ("field", "custom_attribute"), ("name", "n"), ("op", "includes_any_of"), ("value", "3, true, x"),
    ("days", ""), ("group", "1"), ("field", ""), ("name", ""), ("op", ""), ("value", ""), ("days", ""),
    ("group", "1"), ("field", "x_events_in_y_days"), ("name", "opened"), ("op", "more_than"), ("value", "2"),
    ("days", "7"),
]  # fmt: skip
DEFINITION = {
    "groups": [
        {"op": "AND", "filters": [{"field": "external_id", "op": "is_blank"}]},
        {
            "op": "OR",
            "filters": [
                {"field": "custom_attribute", "op": "includes_any_of", "name": "n", "value": [3, True, "x"]},
                {"field": "x_events_in_y_days", "op": "more_than", "name": "opened", "x": 2, "y": 7},
            ],
        },
    ],
    "join": "OR",
}


def built_definition(page: str) -> object:
    found = re.search(r'name="definition" value="([^"]+)"', page)
    return None if found is None else json.loads(unescape(found[1]))


def test_groups_are_joined_and_changed_in_place(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}/segments"
    built = browser.get(f"{base}/build?{urlencode(GROUPS)}")
    assert built_definition(built.text) == DEFINITION
    assert built.text.count("<fieldset>") == 4
    for added, fieldsets, groups in (("0", 5, 2), ("1", 5, 2), ("group", 5, 3), ("7", 4, 2), ("x", 4, 2)):
        more = browser.get(f"{base}/build?{urlencode([*GROUPS, ('add', added)])}").text
        assert (more.count("<fieldset>"), more.count('class="group"')) == (fieldsets, groups)
        assert built_definition(more) == DEFINITION
    kept = browser.post(base, {"name": "Both", "definition": json.dumps(DEFINITION), "tracked": "yes"})
    one = kept.headers["location"]
    segment_id = one.rpartition("/")[2]
    assert f"build?id={segment_id}" in browser.get(one).text
    change = browser.get(f"{base}/build?id={segment_id}").text
    assert built_definition(change) == DEFINITION
    assert (change.count("<fieldset>"), 'name="tracked" value="yes" checked' in change) == (3, True)
    fewer = browser.get(f"{base}/build?{urlencode([*LINES, ('id', segment_id)])}").text
    document = {"name": "One", "definition": json.dumps(built_definition(fewer)), "id": segment_id}
    assert browser.post(base, document).headers["location"] == one
    (segment,) = workspace.service.send("GET", "/v1/segments", None, workspace.headers(), workspace.key).body[
        "segments"
    ]
    assert (segment["id"], segment["name"], segment["analytics_tracking_enabled"]) == (segment_id, "One", False)
    assert (len(segment["groups"]), segment["join"]) == (1, "AND")
    assert built_definition(browser.get(f"{base}/build?id={segment_id}").text) is not None
    for wrong in (browser.get(f"{base}/build?id=none"), browser.post(base, {**document, "id": "none"})):
        assert wrong.status_code == 404
    reader = desk.logged_in(READER, workspace)
    assert "Change it" not in reader.get(one).text


@pytest.mark.parametrize(
    "more",
    [
        {"exclude": [{"filters": [{"field": "country", "op": "is_blank"}]}]},
        {"apps": "none"},
        {"groups": [{"filters": [{"field": "custom_attribute", "op": "does_not_equal", "name": "a", "value": "7"}]}]},
        {"groups": [{"filters": [{"field": "country", "op": "is_any_of", "value": ["a, b"]}]}]},
        {"groups": [{"filters": [{"field": "first_name", "op": "is_blank"}] * (MOST_LINES + 1)}]},
        {"groups": [{"filters": [{"field": "first_name", "op": "is_blank"}]}] * (MOST_GROUPS + 1)},
    ],
    ids=["exclusion", "apps", "text like a number", "comma", "filters", "groups"],
)
def test_what_lines_cannot_say_stays_json(on_sqlite: Service, more: dict[str, object]) -> None:
    """Nothing is lost on the way through the form."""
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    whole = {**DEFINITION, **more}
    assert lines_of(whole) is None
    page = desk.logged_in(OPERATOR, workspace).get(
        f"/console/{workspace.id}/segments/build?{urlencode({'definition': json.dumps(whole)})}"
    )
    assert (page.status_code, built_definition(page.text)) == (200, whole)
    assert "Lines cannot say all of this segment" in texts(page)


@pytest.mark.parametrize(
    "definition",
    ['{"groups":5}', '{"groups":[1]}', '{"groups":[{"filters":[{}]}]}', '{"groups":[{"filters":[3]}]}',
     '{"exclude":"x"}', '{"join":[]}', '{"groups":[{"filters":[{"field":[],"op":{}}]}]}', '{"apps":{}}'],
    ids=[str(n) for n in range(8)],
)  # fmt: skip
def test_json_of_another_shape(on_sqlite: Service, definition: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser, base = desk.logged_in(OPERATOR, workspace), f"/console/{workspace.id}/segments"
    assert browser.get(f"{base}/build?{urlencode({'definition': definition})}").status_code == 422
    assert browser.get(f"{base}/count?{urlencode({'definition': definition})}").status_code == 200
    assert browser.post(base, {"name": "x", "definition": definition}).status_code == 422


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
    for name in ("field", "name", "op", "value", "days", "definition", "join", "group", "group_op", "add", "id"):
        query = {"field": "custom_attribute", "name": "n", "op": "equals", "value": "v", name: sent}
        pages.append(browser.get(f"{base}/build?{urlencode(query)}"))
    pages += [browser.get(f"{base}/count?{urlencode({'definition': sent})}"), browser.get(base)]
    for page in pages:
        assert page.status_code in (200, 303, 404, 422)
        assert "<script>window" not in page.text
        assert "<img" not in page.text
        assert "50337" not in page.text
