"""Definitions that are refused, with the sentence that says why."""

from typing import Any

import pytest

from app.contract.errors import RefusedError
from app.contract.segments import NESTED, UNKNOWN_SEGMENT
from tests.segments import Json, definition

BLANK = {"field": "external_id", "op": "is_blank"}
MEMBER = {"field": "segment_membership", "segment_id": "s", "op": "is_member"}


def one(**members: Any) -> Json:
    return {"groups": [{"filters": [members]}]}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "The body must be an object"),
        ({"groups": {}}, "'groups' must be an array"),
        ({"groups": [BLANK] * 51}, "'groups' must be an array of at most 50"),
        ({"groups": [{}]}, "groups[0] must be an object of 'op' and an array 'filters'"),
        ({"groups": [{"op": "XOR", "filters": []}]}, "'op' of groups[0] must be AND or OR"),
        ({"join": "and"}, "'join' must be AND or OR"),
        ({"apps": []}, "'apps' must be"),
        ({"groups": [{"filters": [BLANK] * 201}]}, "A segment has at most 200 filters"),
        ({"exclude": [{"filters": [1]}]}, "exclude[0]: filters[0] must be an object"),
        (one(field="x", op="is_blank"), "groups[0]: filters[0] has no known 'field'"),
        (one(field="external_id", op="is_true"), "groups[0]: filters[0] needs an 'op' of 'external_id'"),
        (one(**BLANK, value=1), "has unknown members"),
        (one(field="custom_attribute", op="is_true"), "needs a 'name'"),
        (one(field="custom_attribute", op="is_true", name="a[].b[]"), "more than one []"),
        (one(field="custom_attribute", op="is_true", name="a..b"), "empty step"),
        (one(field="custom_attribute", op="less_than", name="a"), "needs a 'value' for less_than: number"),
        (one(field="custom_attribute", op="less_than", name="a", value=True), "number"),
        (one(field="custom_attribute", op="is_any_of", name="a", value=[]), "array of texts"),
        (one(field="custom_attribute", op="is_any_of", name="a", value=["x"] * 257), "array of texts"),
        (one(field="custom_attribute", op="matches_regex", name="a", value="("), "regular expression"),
        (one(field="custom_attribute", op="matches_regex", name="a", value="(?=a)"), "regular expression"),
        (one(field="custom_attribute", op="matches_regex", name="a", value="x" * 32_765), "regular expression"),
        (one(field="created_at", op="before", value="yesterday"), "date or time"),
        (one(field="created_at", op="before", value="2026-02-30"), "date or time"),
        (one(field="created_at", op="more_than_x_days_ago", value=36_526), "days, in quarters"),
        (one(field="created_at", op="more_than_x_days_ago", value=0.3), "days, in quarters"),
        (one(field="session_count", op="does_not_equal", value="x"), "number"),
        (one(field="first_name", op="does_not_equal", value=1), "text"),
        (one(field="x_events_in_y_days", name="e", op="exactly", x=51, y=1), "needs 'x'"),
        (one(field="x_events_in_y_days", name="e", op="exactly", x=1, y=31), "needs 'y'"),
        (one(field="x_events_in_y_days", name="e", op="exactly", x=1, y=True), "needs 'y'"),
        (one(field="x_revenue_in_y_days", op="exactly", x="1", y=700), "needs 'x', an amount"),
        (one(field="user_alias", op="equals", value="x"), "needs 'alias_label'"),
        (one(field="custom_attribute", op="any_element", name="a", criteria=[]), "needs 'criteria'"),
        (one(field="most_recent_location", op="within", longitude=0, latitude=91, kilometres=1), "a place on Earth"),
        ({"groups": [{"filters": [{**BLANK, "op": "matches_regex", "value": "x"}] * 21}]}, "A segment has at most"),
        ({"groups": [{"filters": [MEMBER]}]}, UNKNOWN_SEGMENT),
    ],
)
def test_refused(document: Any, sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        definition(document)
    assert refused.value.status == 400
    assert sentence in refused.value.message


def test_segments_in_segments() -> None:
    plain = {"groups": [{"filters": [BLANK]}]}
    found = definition({"groups": [{"filters": [MEMBER]}]}, {"s": plain})
    assert [one.segment for one in found.filters()] == [definition(plain)]
    with pytest.raises(RefusedError, match=NESTED[:20]):
        definition({"groups": [{"filters": [MEMBER]}]}, {"s": {"groups": [{"filters": [MEMBER]}]}})
