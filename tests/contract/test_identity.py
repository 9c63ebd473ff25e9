"""Bodies of the endpoints about identity: every refusal, every answer, and what is stored (spec identify.md 3 …)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.contract import aliases, deletion, external_ids, identifiers, identify, merge_request, stored
from app.contract.checked import Checked
from app.contract.errors import PARSE_ERROR, RefusedError
from app.domain.commands import (
    Command,
    Delete,
    Identify,
    Merge,
    NewAlias,
    RemoveExternalId,
    RenameExternalId,
    Selector,
    UpdateAlias,
)
from app.domain.profile import ALIAS, BRAZE, EMAIL, EXTERNAL, PHONE

Json = dict[str, Any]
ALIAS_AB = {"alias_label": "a", "alias_name": "b"}
OLDEST = ["unidentified", "least_recently_updated"]
RULES = ("unidentified", "least_recently_updated")
ANYTHING_ELSE: list[Any] = [None, [], "x", {}, 1]


def answered(accept: Callable[[bytes], Checked], body: object) -> tuple[Any, Json]:
    """The commands that the worker will read, and the answer."""
    queued = accept(json.dumps(body).encode())
    return stored.commands(queued.kind, queued.codec, queued.body), json.loads(queued.answer)


def refused(accept: Callable[[bytes], object], body: object) -> tuple[str, list[tuple[str, str, int]]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RefusedError) as caught:
        accept(content)
    assert caught.value.status == 400
    return caught.value.message, [(error.type, error.input_array, error.index) for error in caught.value.errors]


def entry(**more: Any) -> Json:
    return {"external_id": "e", "user_alias": ALIAS_AB, **more}


def test_identify_takes_all_three_arrays_in_order() -> None:
    body = {
        "phone_numbers_to_identify": [{"external_id": "p", "phone": "+34 600 123 456", "prioritization": OLDEST}],
        "emails_to_identify": [{"external_id": "m", "email": " A@Example.org", "prioritization": OLDEST}],
        "aliases_to_identify": [entry(external_id=12345, user_alias={"alias_label": 7, "alias_name": 8})],
        "merge_behavior": None,
        "partner": "x",
    }
    commands, answer = answered(identify.check, body)
    assert answer == {"aliases_processed": 3, "message": "success"}
    assert commands == [
        Identify("aliases_to_identify", 0, "12345", Selector((ALIAS, "7", "8")), merge=True),
        Identify("emails_to_identify", 0, "m", Selector((EMAIL, "", "a@example.org"), RULES), merge=True),
        Identify("phone_numbers_to_identify", 0, "p", Selector((PHONE, "", "+34600123456"), RULES), merge=True),
    ]


@pytest.mark.parametrize(("behavior", "merges"), [("merge", True), (None, True), ("none", False)])
def test_merge_behavior(behavior: str | None, merges: bool) -> None:
    commands, _ = answered(identify.check, {"aliases_to_identify": [entry()], "merge_behavior": behavior})
    assert [command.merge for command in commands] == [merges]


def test_null_and_empty_arrays_are_not_sent() -> None:
    body = {"aliases_to_identify": [entry()], "emails_to_identify": [], "phone_numbers_to_identify": None}
    assert answered(identify.check, body)[1] == {"aliases_processed": 1, "message": "success"}


@pytest.mark.parametrize("body", [{}, [], None, 3, "x", {"aliases_to_identify": []}, {"emails_to_identify": None}])
def test_identify_wants_an_array(body: object) -> None:
    assert refused(identify.check, body) == (identify.NOT_ARRAYS, [])


@pytest.mark.parametrize("name", identify.ARRAYS)
@pytest.mark.parametrize("value", ["x", {"external_id": "e"}, {"0": entry()}, 3, False, ""])
def test_what_is_no_array_is_named(name: str, value: object) -> None:
    body = {"aliases_to_identify": [entry()], name: value}
    assert refused(identify.check, body) == (f"'{name}' must be an array of objects", [])


@pytest.mark.parametrize("accept", [identify.check, merge_request.check, aliases.check_new, aliases.check_update,
    deletion.check, external_ids.read_renames, external_ids.read_removals])  # fmt: skip
def test_what_is_no_json_is_refused_everywhere(accept: Callable[[bytes], object]) -> None:
    assert refused(accept, b"{") == (PARSE_ERROR, [])
    assert refused(accept, b'{"a":"\xff"}') == (PARSE_ERROR, [])


@pytest.mark.parametrize("behavior", ["MERGE", "x", "", 1, True, [], {}])
def test_any_other_merge_behavior_is_refused(behavior: object) -> None:
    body = {"aliases_to_identify": [entry()], "merge_behavior": behavior}
    assert refused(identify.check, body) == (identify.BAD_BEHAVIOR, [])


def test_fifty_entries_over_all_arrays() -> None:
    email = {"external_id": "m", "email": "a@example.org", "prioritization": OLDEST}
    body = {"aliases_to_identify": [entry()] * 25, "emails_to_identify": [email] * 25}
    assert answered(identify.check, body)[1]["aliases_processed"] == 50
    body["emails_to_identify"].append(email)
    assert refused(identify.check, body) == (identify.TOO_MANY, [])


ALIAS_ENTRIES: list[tuple[Any, str]] = [
    ("a", "must be an object"),
    (None, "must be an object"),
    ({"user_alias": ALIAS_AB}, identify.NO_EXTERNAL_ID),
    (entry(external_id=None), identify.NO_EXTERNAL_ID),
    (entry(external_id=""), identify.NO_EXTERNAL_ID),
    (entry(external_id=" "), "'external_id' must be a non-empty string"),
    (entry(external_id=True), "'external_id' must be a non-empty string"),
    (entry(external_id=["e"]), "'external_id' must be a non-empty string"),
    (entry(external_id="x" * 988), "'external_id' must be fewer than 988 bytes"),
    (entry(external_id="a\0b"), "must not contain the character NUL (U+0000)"),
    ({"external_id": "e", **ALIAS_AB}, "'user_alias' must have 'alias_name' and 'alias_label'"),
    (entry(user_alias={"alias_label": "a"}), "'user_alias' must have 'alias_name' and 'alias_label'"),
    (entry(user_alias={"alias_label": "a", "alias_name": ""}), "'user_alias' must have 'alias_name' and 'alias_label'"),
    (entry(user_alias=[ALIAS_AB]), "'user_alias' must have 'alias_name' and 'alias_label'"),
    (
        entry(user_alias={"alias_label": "a", "alias_name": "x" * 237}),
        "'alias_name' and 'alias_label' must be at most 236 bytes each",
    ),
]


@pytest.mark.parametrize(("bad", "type_"), ALIAS_ENTRIES)
def test_a_malformed_alias_entry_is_in_errors_and_the_rest_goes_on(bad: Any, type_: str) -> None:
    commands, answer = answered(identify.check, {"aliases_to_identify": [entry(), bad, entry(external_id="f")]})
    assert [(command.index, command.external_id) for command in commands] == [(0, "e"), (2, "f")]
    errors = [(error["type"], error["input_array"], error["index"]) for error in answer["errors"]]
    assert (answer["aliases_processed"], errors) == (2, [(type_, "aliases_to_identify", 1)])
    assert refused(identify.check, {"aliases_to_identify": [bad]}) == (
        identify.NOTHING_VALID,
        [(type_, "aliases_to_identify", 0)],
    )


VALID_RULES = [["identified"], ["unidentified"], ["most_recently_updated"], ["least_recently_updated"],
    ["unidentified", "most_recently_updated"], ["most_recently_updated", "unidentified"],
    ["identified", "least_recently_updated"], ["least_recently_updated", "unidentified"]]  # fmt: skip
MISSING_RULES: list[Any] = [None, []]
INVALID_RULES: list[Any] = [["x"], [1], [None], [["identified"]], ["identified", "unidentified"],
    ["unidentified", "identified"], ["most_recently_updated", "least_recently_updated"], ["identified", "identified"],
    ["unidentified", "most_recently_updated", "identified"]]  # fmt: skip
BAD_RULES = [
    *((rules, "'prioritization' is required") for rules in MISSING_RULES),
    *((rules, "'prioritization' is not valid") for rules in INVALID_RULES),
    *(
        (rules, "'prioritization' is not valid: it must be an array")
        for rules in ("identified", {"0": "identified"}, 1)
    ),
]
ADDRESSES = [
    ("emails_to_identify", "email_addresses", "email", "a@example.org"),
    ("phone_numbers_to_identify", "phone_numbers", "phone", "+34600123456"),
]


@pytest.mark.parametrize(("identify_array", "delete_array", "name", "value"), ADDRESSES)
@pytest.mark.parametrize("rules", VALID_RULES)
def test_prioritization(identify_array: str, delete_array: str, name: str, value: str, rules: list[str]) -> None:
    who = {name: value, "prioritization": rules}
    selector = Selector((EMAIL if name == "email" else PHONE, "", value), tuple(rules))
    assert [c.who for c in answered(identify.check, {identify_array: [{"external_id": "e", **who}]})[0]] == [selector]
    assert [c.who for c in answered(deletion.check, {delete_array: [who]})[0]] == [selector]
    pair = {"identifier_to_merge": who, "identifier_to_keep": {"external_id": "k"}}
    assert [c.merge for c in answered(merge_request.check, {"merge_updates": [pair]})[0]] == [selector]


@pytest.mark.parametrize(("identify_array", "delete_array", "name", "value"), ADDRESSES)
@pytest.mark.parametrize(("rules", "type_"), BAD_RULES)
def test_bad_prioritization(
    identify_array: str, delete_array: str, name: str, value: str, rules: object, type_: str
) -> None:
    who = {name: value, "prioritization": rules}
    assert refused(identify.check, {identify_array: [{"external_id": "e", **who}]})[1] == [(type_, identify_array, 0)]
    assert refused(deletion.check, {delete_array: [who]})[1] == [(type_, delete_array, 0)]
    pair = {"identifier_to_merge": {"external_id": "k"}, "identifier_to_keep": who}
    assert refused(merge_request.check, {"merge_updates": [pair]}) == (merge_request.BAD_PRIORITIZATION, [])


@pytest.mark.parametrize(("array", "entry_", "type_"), [
    ("emails_to_identify", {"email": "no"}, identifiers.BAD_EMAIL),
    ("emails_to_identify", {}, identifiers.BAD_EMAIL),
    ("emails_to_identify", "a@example.org", "must be an object"),
    ("phone_numbers_to_identify", {"phone": "12"}, identifiers.BAD_PHONE),
    ("phone_numbers_to_identify", {"phone": None}, identifiers.BAD_PHONE),
])  # fmt: skip
def test_bad_addresses(array: str, entry_: Any, type_: str) -> None:
    given = {"external_id": "e", "prioritization": OLDEST, **entry_} if isinstance(entry_, dict) else entry_
    assert refused(identify.check, {array: [given]}) == (identify.NOTHING_VALID, [(type_, array, 0)])


PAIR = {"identifier_to_merge": {"user_alias": ALIAS_AB}, "identifier_to_keep": {"external_id": 5, "email": None}}


def test_merge() -> None:
    by_email = {"identifier_to_merge": {"email": "A@example.org", "prioritization": OLDEST}}
    by_braze = {"identifier_to_keep": {"braze_id": "b"}}
    nobody = {"identifier_to_merge": {"phone": "12", "prioritization": OLDEST}}
    body = {"merge_updates": [PAIR, {**by_email, **by_braze}, {**nobody, **by_braze}]}
    commands, answer = answered(merge_request.check, body)
    assert answer == {"message": "success"}
    assert commands == [
        Merge(0, Selector((ALIAS, "a", "b")), Selector((EXTERNAL, "", "5"))),
        Merge(1, Selector((EMAIL, "", "a@example.org"), RULES), Selector((BRAZE, "", "b"))),
        Merge(2, Selector(None, RULES), Selector((BRAZE, "", "b"))),
    ]


@pytest.mark.parametrize("updates", [None, [], "x", {}, ["<object>"], [PAIR, None], [[PAIR]]])
def test_merge_wants_an_array_of_objects(updates: object) -> None:
    assert refused(merge_request.check, {"merge_updates": updates}) == (merge_request.NOT_AN_ARRAY, [])


def test_the_first_failing_check_of_a_merge_wins() -> None:
    incomplete = {"identifier_to_keep": {"external_id": "a"}}
    assert refused(merge_request.check, {"merge_updates": [incomplete] * 51}) == (merge_request.TOO_MANY, [])
    shapeless = {**PAIR, "identifier_to_keep": "a"}
    assert refused(merge_request.check, {"merge_updates": [shapeless, incomplete]}) == (merge_request.BAD_ELEMENT, [])
    assert refused(merge_request.check, {"merge_updates": [{**PAIR, "note": 1}]}) == (merge_request.BAD_ELEMENT, [])
    assert len(answered(merge_request.check, {"merge_updates": [PAIR] * 50})[0]) == 50


@pytest.mark.parametrize("identifier", ["a", None, [], {}, {"external_id": ""}, {"external_id": None},
    {"external_id": True}, {"external_id": ["a"]}, {"external_id": "a", "user_alias": ALIAS_AB},
    {"external_id": "a", "email": "a@example.org"}, {"user_alias": "a"}, {"user_alias": {"alias_name": "a"}},
    {"email": {}, "prioritization": OLDEST}, {"phone": "", "prioritization": OLDEST},
    {"external_id": "x" * 988}, {"unknown": "a"}, {"braze_id": {}}])  # fmt: skip
def test_identifiers_of_a_wrong_form(identifier: object) -> None:
    for side in ("identifier_to_merge", "identifier_to_keep"):
        assert refused(merge_request.check, {"merge_updates": [{**PAIR, side: identifier}]}) == (
            merge_request.BAD_IDENTIFIER,
            [],
        )


def test_an_identifier_with_nul_says_so() -> None:
    sentence = f"{merge_request.BAD_IDENTIFIER}. 'external_id' has the invisible character U+0000."
    updates = [{**PAIR, "identifier_to_keep": {"external_id": "a\0"}}]
    assert refused(merge_request.check, {"merge_updates": updates}) == (sentence, [])


def test_new_aliases() -> None:
    body = {
        "user_aliases": [
            {"external_id": 5, "alias_name": 77, "alias_label": "crm"},
            {"alias_name": "n", "alias_label": "l", "external_id": None},
            {"external_id": "c", "user_alias": ALIAS_AB},
        ]
    }
    commands, answer = answered(aliases.check_new, body)
    assert answer == {"aliases_processed": 3, "message": "success"}
    assert commands == [NewAlias(0, "5", "crm", "77"), NewAlias(1, None, "l", "n"), NewAlias(2, "c", "a", "b")]


def test_alias_updates() -> None:
    update = {"alias_label": "l", "old_alias_name": 1, "new_alias_name": "2"}
    bad = [{**update, "new_alias_name": ""}, {**update, "old_alias_name": None}, {**update, "alias_label": "x" * 237}]
    commands, answer = answered(aliases.check_update, {"alias_updates": [update, *bad]})
    assert commands == [UpdateAlias(0, "l", "1", "2")]
    assert answer["aliases_processed"] == 1
    assert [error["index"] for error in answer["errors"]] == [1, 2, 3]


@pytest.mark.parametrize(("accept", "name", "noun"), [
    (aliases.check_new, "user_aliases", "user aliases"), (aliases.check_update, "alias_updates", "alias updates")
])  # fmt: skip
def test_refused_alias_requests(accept: Callable[[bytes], Checked], name: str, noun: str) -> None:
    for value in ANYTHING_ELSE:
        assert refused(accept, {name: value}) == (f"'{name}' must be an array of objects", [])
    too_many = f"a single request may not contain more than 50 {noun}"
    assert refused(accept, {name: [{}] * 51}) == (too_many, [])
    message, errors = refused(accept, {name: [{}, 3]})
    assert message == f"Valid data must be provided in the '{name}' field."
    assert [(array, index) for _, array, index in errors] == [(name, 0), (name, 1)]


def test_delete_mixes_all_kinds() -> None:
    who = {"prioritization": OLDEST}
    body = {
        "phone_numbers": [{"phone": "+34600123456", **who}],
        "email_addresses": [{"email": "A@example.org", **who}],
        "braze_ids": ["b"],
        "user_aliases": [ALIAS_AB],
        "external_ids": [400, "x", "x", "", None, "a\0", {}],
    }
    commands, answer = answered(deletion.check, body)
    assert commands == [
        Delete("external_ids", 0, Selector((EXTERNAL, "", "400"))),
        Delete("external_ids", 1, Selector((EXTERNAL, "", "x"))),
        Delete("external_ids", 2, Selector((EXTERNAL, "", "x"))),
        Delete("user_aliases", 0, Selector((ALIAS, "a", "b"))),
        Delete("braze_ids", 0, Selector((BRAZE, "", "b"))),
        Delete("email_addresses", 0, Selector((EMAIL, "", "a@example.org"), RULES)),
        Delete("phone_numbers", 0, Selector((PHONE, "", "+34600123456"), RULES)),
    ]
    assert answer["deleted"] == 7
    assert [(error["input_array"], error["index"]) for error in answer["errors"]] == [
        ("external_ids", 3), ("external_ids", 4), ("external_ids", 5), ("external_ids", 6)
    ]  # fmt: skip


def test_refused_deletes() -> None:
    bodies: list[Any] = [{}, [], {"external_ids": []}, {"external_ids": None}, {"other": "x"}]
    for body in bodies:
        assert refused(deletion.check, body) == (deletion.NOTHING_VALID, [])
    for name, form in deletion.FORMS.items():
        for value in ("x", 3, {}, {"0": "x", "2": "y"}):
            sentence = f"'{name}' must be an array of {form}"
            assert refused(deletion.check, {"external_ids": ["a"], name: value}) == (sentence, [])
    assert refused(deletion.check, {"external_ids": ["x"] * 26, "braze_ids": ["b"] * 25}) == (deletion.TOO_MANY, [])
    message, errors = refused(deletion.check, {"email_addresses": ["a@example.org"]})
    assert (message, errors) == (deletion.NOTHING_VALID, [("must be an object", "email_addresses", 0)])


def read_back(checked: Checked) -> list[Command]:
    return stored.commands(checked.kind, checked.codec, checked.body)


def rename(current: object, new: object) -> Json:
    return {"current_external_id": current, "new_external_id": new}


def test_renames_and_their_results() -> None:
    items = [rename(1, "b"), rename("", "b"), rename("c", "x" * 988), rename("d", "e"), rename("f", "g")]
    found = external_ids.read_renames(json.dumps({"external_id_renames": items}).encode())
    assert read_back(found.checked) == [
        RenameExternalId(0, "1", "b"),
        RenameExternalId(3, "d", "e"),
        RenameExternalId(4, "f", "g"),
    ]
    problems = [
        ("external_id_renames", 3, "", "external_id_taken"),
        ("external_id_renames", 4, "", "too_many_identifiers"),
    ]
    assert json.loads(found.answer(problems)) == {
        "message": "success",
        "external_ids": [rename("1", "b")],
        "rename_errors": [[1, external_ids.NOT_TEXT], [2, external_ids.NOT_TEXT],
                          [3, "new_external_id is already in use"],
                          [4, "the profile has too many identifiers, remove former external ids first"]],
    }  # fmt: skip


@pytest.mark.parametrize("value", [None, [], "x", {}, ["x"], [None]])
def test_refused_renames(value: object) -> None:
    message = "'external_id_renames' must be an array of objects"
    assert refused(external_ids.read_renames, {"external_id_renames": value}) == (message, [])


def test_renames_have_two_members_and_a_limit() -> None:
    only = "'external_id_renames' must only have 'current_external_id' and 'new_external_id'"
    for element in ({}, {"current_external_id": "a"}, {**rename("a", "b"), "x": 1}):
        assert refused(external_ids.read_renames, {"external_id_renames": [element]}) == (only, [])
    many = "a single request may not contain more than 50 external id renames"
    assert refused(external_ids.read_renames, {"external_id_renames": [rename("a", "b")] * 51}) == (many, [])


def test_removals_and_their_results() -> None:
    found = external_ids.read_removals(json.dumps({"external_ids": ["a", None, 7, ""]}).encode())
    assert read_back(found.checked) == [RemoveExternalId(0, "a"), RemoveExternalId(2, "7")]
    assert json.loads(found.answer([("external_ids", 2, "", "external_id_not_deprecated")])) == {
        "message": "success",
        "removed_ids": ["a"],
        "removal_errors": [[1, external_ids.NOT_TEXT], [2, "external_id is not deprecated"],
                           [3, external_ids.NOT_TEXT]],
    }  # fmt: skip
    for value in ANYTHING_ELSE:
        assert refused(external_ids.read_removals, {"external_ids": value})[0] == (
            "'external_ids' must be an array of strings"
        )
    assert refused(external_ids.read_removals, {"external_ids": ["a"] * 51})[0] == (
        "a single request may not contain more than 50 external ids"
    )
