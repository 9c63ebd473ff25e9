"""Which identifiers never become a merge key, and which profiles are never merged."""

from typing import Any

import pytest

from app.domain import guard
from app.domain.profile import ALIAS, EMAIL, EXTERNAL, GLOBAL_CONTROL_GROUP, MARKED_FOR_DELETION
from app.domain.settings import ApplySettings
from tests.domain.builders import profile


@pytest.mark.parametrize(
    ("value", "junk"),
    [
        *((value, True) for value in sorted(guard.DEFAULT_JUNK)),
        ("NULL", True),
        (" Undefined\t", True),
        ("[object Object]", True),
        ("NaN", True),
        ("ANONYMOUS", True),
        ("1", False),
        ("00", False),
        ("null-1", False),
        ("nobody@example.org", False),
    ],
)
def test_the_default_list(value: str, junk: bool) -> None:
    assert guard.is_junk((EXTERNAL, "", value), ApplySettings()) is junk
    assert guard.is_junk((ALIAS, "null", value), ApplySettings()) is junk
    assert guard.is_junk((EMAIL, "", value), ApplySettings()) is False


def test_a_workspace_has_a_list_of_its_own() -> None:
    settings = ApplySettings(junk_identifiers=["Visitor ", "0"])
    found = {value: guard.is_junk((EXTERNAL, "", value), settings) for value in ("visitor", "0", "null", "")}
    assert found == {"visitor": True, "0": True, "null": False, "": False}
    assert not guard.is_junk((EXTERNAL, "", "null"), ApplySettings(junk_identifiers=[]))


ONE: dict[str, Any] = {"external_id": "k"}


@pytest.mark.parametrize(
    ("kept", "merged", "settings", "reason"),
    [
        (ONE, {}, {}, None),
        ({"flags": GLOBAL_CONTROL_GROUP}, {}, {}, "control_group"),
        (ONE, {"flags": GLOBAL_CONTROL_GROUP}, {}, "control_group"),
        (ONE, {"flags": MARKED_FOR_DELETION}, {}, "marked_for_deletion"),
        ({"merges": 2}, {"merges": 1}, {"max_merges_per_profile": 4}, None),
        ({"merges": 2}, {"merges": 1}, {"max_merges_per_profile": 3}, "too_many_merges"),
        ({"email": "x"}, {"email": "x", "phone": "1"}, {"max_identifiers_per_profile": 2}, None),
        ({"email": "x"}, {"email": "y", "phone": "1"}, {"max_identifiers_per_profile": 2}, "too_many_identifiers"),
    ],
)
def test_refusals(kept: dict[str, Any], merged: dict[str, Any], settings: dict[str, Any], reason: str | None) -> None:
    assert guard.refusal(profile(1, **kept), profile(2, **merged), ApplySettings(**settings)) == reason


def test_a_profile_is_not_merged_into_itself() -> None:
    one = profile(1)
    assert guard.refusal(one, one, ApplySettings()) == "same_profile"


def test_a_full_profile() -> None:
    settings = ApplySettings(max_identifiers_per_profile=2)
    assert not guard.is_full(profile(1, external_id="k"), settings)
    assert guard.is_full(profile(1, external_id="k", aliases={"a": "b"}), settings)
