"""A refusal names the character that nobody sees, by its code point, and nothing of the text around it."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract import (
    aliases,
    data_rules,
    dead_letters,
    deletion,
    export,
    external_ids,
    identify,
    limits,
    merge_request,
    rates,
    track,
    track_sync,
)
from app.contract.errors import RefusedError
from app.contract.invisible import explained, is_invisible, visible
from app.contract.track import NO_VALID_DATA, Limits

CHARACTERS: Final = {
    "U+0007": "\x07",
    "U+007F": "\x7f",
    "U+0085": "\x85",
    "U+00A0 (NO-BREAK SPACE)": "\u00a0",
    "U+00AD (SOFT HYPHEN)": "\u00ad",
    "U+034F (COMBINING GRAPHEME JOINER)": "\u034f",
    "U+061C (ARABIC LETTER MARK)": "\u061c",
    "U+115F (HANGUL CHOSEONG FILLER)": "\u115f",
    "U+180E (MONGOLIAN VOWEL SEPARATOR)": "\u180e",
    "U+2007 (FIGURE SPACE)": "\u2007",
    "U+200B (ZERO WIDTH SPACE)": "\u200b",
    "U+200D (ZERO WIDTH JOINER)": "\u200d",
    "U+200E (LEFT-TO-RIGHT MARK)": "\u200e",
    "U+2028 (LINE SEPARATOR)": "\u2028",
    "U+202E (RIGHT-TO-LEFT OVERRIDE)": "\u202e",
    "U+2060 (WORD JOINER)": "\u2060",
    "U+2066 (LEFT-TO-RIGHT ISOLATE)": "\u2066",
    "U+2800 (BRAILLE PATTERN BLANK)": "\u2800",
    "U+3000 (IDEOGRAPHIC SPACE)": "\u3000",
    "U+3164 (HANGUL FILLER)": "\u3164",
    "U+FE0F (VARIATION SELECTOR-16)": "\ufe0f",
    "U+FEFF (ZERO WIDTH NO-BREAK SPACE)": "\ufeff",
    "U+FFA0 (HALFWIDTH HANGUL FILLER)": "\uffa0",
    "U+E0001 (LANGUAGE TAG)": "\U000e0001",
    "U+E0100 (VARIATION SELECTOR-17)": "\U000e0100",
}
#: Also drawn: digits, hyphens and letters that are not those of the contract's own words.
LOOKALIKES: Final = {
    "U+2011 (NON-BREAKING HYPHEN)": "\u2011",
    "U+2012 (FIGURE DASH)": "\u2012",
    "U+FF10 (FULLWIDTH DIGIT ZERO)": "\uff10",
}
EVENT: Final = {"external_id": "a", "name": "e", "time": "2026-01-05"}
PURCHASE: Final = {"external_id": "a", "product_id": "p", "currency": "USD", "price": 1, "time": "2026-01-05"}
WHO: Final = {"external_id": "a", "email": "a@example.org", "prioritization": ["identified"]}
KEEP: Final = {"external_id": "a"}


def track_of(array: str, obj: object) -> dict[str, Any]:
    return {array: [obj]}


def check_track(body: bytes) -> object:
    return track.check(body, Limits(None, None), ecommerce_events=True)


#: (how it is read, a body with a text that is refused for the character `~` in it, the member that is named)
VALUES: Final[list[tuple[Callable[[bytes], object], dict[str, Any], str]]] = [
    (check_track, track_of("attributes", {"email": "a~@example.org"}), "email"),
    (check_track, track_of("attributes", {"external_id": "a", "email": "a@exa~mple.org"}), "email"),
    (check_track, track_of("attributes", {"external_id": "a", "email_subscribe": "opted_in~"}), "email_subscribe"),
    (check_track, track_of("attributes", {"external_id": "a", "push_subscribe": "~subscribed"}), "push_subscribe"),
    (check_track, track_of("events", EVENT | {"time": "2026-01~-05"}), "time"),
    (check_track, track_of("purchases", PURCHASE | {"currency": "US~D"}), "currency"),
    (check_track, track_of("purchases", PURCHASE | {"price": "1~.5"}), "price"),
    (identify.check, {"aliases_to_identify": [{}], "merge_behavior": "merge~"}, "merge_behavior"),
    (identify.check, {"emails_to_identify": [WHO | {"prioritization": ["identified~"]}]}, "prioritization"),
    (identify.check, {"emails_to_identify": [WHO | {"email": "a~@example.org"}]}, "email"),
    (deletion.check, {"email_addresses": [WHO | {"email": "a~@example.org"}]}, "email"),
    (deletion.check, {"email_addresses": [WHO | {"prioritization": ["ident~ified"]}]}, "prioritization"),
    (
        merge_request.check,
        {
            "merge_updates": [
                {
                    "identifier_to_merge": {"email": "a@example.org", "prioritization": ["identified~"]},
                    "identifier_to_keep": {"external_id": "a"},
                }
            ]
        },
        "prioritization",
    ),
    (limits.read_change, {"plan": "legacy~"}, "plan"),
    (limits.read_change, {"hourly_refill": "continuous~"}, "hourly_refill"),
    (rates.read_change, {"rates": [{"currency": "US~D", "usd": 1, "from": "2026-01-01"}]}, "currency"),
    (rates.read_change, {"rates": [{"currency": "EUR", "usd": "1~", "from": "2026-01-01"}]}, "usd"),
    (rates.read_change, {"rates": [{"currency": "EUR", "usd": 1, "from": "2026-01-~01"}]}, "from"),
    (dead_letters.read_replay, {"filter": {"kind": "track~"}}, "kind"),
    (dead_letters.read_replay, {"filter": {"from": "2026~"}}, "from"),
    (lambda body: data_rules.read_rule(data_rules.ATTRIBUTES, body), {"name": "k", "type": "string~"}, "type"),
    (
        check_track,
        track_of(
            "events",
            EVENT
            | {
                "name": "ecommerce.product_viewed",
                "properties": {
                    "product_id": "p",
                    "product_name": "n",
                    "variant_id": "v",
                    "price": 1,
                    "currency": "US~D",
                    "source": "s",
                },
            },
        ),
        "currency",
    ),
]


def refusal(read: Callable[[bytes], object], body: object) -> str:
    """All sentences of a refusal."""
    with pytest.raises(RefusedError) as refused:
        read(json.dumps(body).encode())
    assert refused.value.status == 400
    return " | ".join([refused.value.message, *(error.type for error in refused.value.errors)])


def with_character(body: object, character: str) -> object:
    return json.loads(json.dumps(body, ensure_ascii=False).replace("~", json.dumps(character)[1:-1]))


@pytest.mark.parametrize(("read", "body", "member"), VALUES, ids=[f"{n} {m}" for n, (_, _, m) in enumerate(VALUES)])
def test_a_value(read: Callable[[bytes], object], body: dict[str, Any], member: str) -> None:
    named = 0
    for name, character in CHARACTERS.items():
        try:
            read(json.dumps(with_character(body, character)).encode())
        except RefusedError as refused:
            sentence = " | ".join([refused.message, *(error.type for error in refused.errors)])
            assert f"'{member}' has the invisible character {name}" in sentence
            assert character not in sentence
            named += 1
    assert named > 10  # some take blanks around a text
    assert "U+" not in refusal(read, with_character(body, "("))


@pytest.mark.parametrize("name", LOOKALIKES)
@pytest.mark.parametrize("member", ["time", "currency", "price"])
def test_a_look_alike_in_a_word_of_the_contract(member: str, name: str) -> None:
    sentence = refusal(check_track, track_of("purchases", PURCHASE | {member: f"2{LOOKALIKES[name]}6"}))
    assert f"'{member}' has the character {name}" in sentence


#: Bodies with a member whose name is wrong for the character `~` in it.
NAMES: Final[list[tuple[Callable[[bytes], object], dict[str, Any]]]] = [
    (check_track, track_of("attributes", {"~external_id": "a"})),
    (check_track, track_of("events", {"~name": "e", "external_id": "a", "time": "2026-01-05"})),
    (check_track, track_of("events", {"name": "e", "external_id": "a", "time~": "2026-01-05"})),
    (check_track, track_of("attributes", {"user_alias": {"alias~_name": "a", "alias_label": "l"}})),
    (check_track, {"~attributes": [{"external_id": "a"}]}),
    (identify.check, {"aliases_to_identify~": []}),
    (identify.check, {"aliases_to_identify": [{"~external_id": "a", "user_alias": {}}]}),
    (aliases.check_new, {"~user_aliases": [{}]}),
    (aliases.check_new, {"user_aliases": [{"alias_name": "a", "alias_label~": "b"}]}),
    (aliases.check_update, {"alias_updates": [{"alias_label": "b", "~old_alias_name": "a", "new_alias_name": "b"}]}),
    (merge_request.check, {"~merge_updates": []}),
    (merge_request.check, {"merge_updates": [{"identifier_to_merge~": KEEP, "identifier_to_keep": KEEP}]}),
    (
        merge_request.check,
        {"merge_updates": [{"identifier_to_merge": {"external~_id": "a"}, "identifier_to_keep": KEEP}]},
    ),
    (deletion.check, {"external_ids~": ["a"]}),
    (deletion.check, {"user_aliases": [{"alias_name~": "a", "alias_label": "b"}]}),
    (external_ids.read_renames, {"~external_id_renames": []}),
    (
        external_ids.read_renames,
        {"external_id_renames": [{"~current_external_id": "a", "new_external_id": "b"}]},
    ),
    (external_ids.read_removals, {"~external_ids": ["a"]}),
    (export.read, {"~external_ids": ["a"]}),
    (export.read, {"user_aliases": [{"~alias_name": "a", "alias_label": "b"}]}),
    (lambda body: data_rules.read_rule(data_rules.EVENTS, body), {"name": "k", "~blocked": True}),
    (limits.read_change, {"~plan": "legacy"}),
    (rates.read_change, {"rates~": []}),
    (rates.read_change, {"rates": [{"currency~": "EUR", "usd": 1, "from": "2026-01-01"}]}),
    (dead_letters.read_replay, {"ids~": ["a"]}),
    (dead_letters.read_replay, {"filter": {"kind~": "a"}}),
]


@pytest.mark.parametrize(("read", "body"), NAMES, ids=[f"{n} {body}"[:50] for n, (_, body) in enumerate(NAMES)])
def test_the_name_of_a_member(read: Callable[[bytes], object], body: dict[str, Any]) -> None:
    for name, character in CHARACTERS.items():
        sentence = refusal(read, with_character(body, character))
        assert f"The name of a member has the invisible character {name}" in sentence


def test_a_sentence_of_the_contract_stays_in_front() -> None:
    sentence = refusal(check_track, track_of("attributes", {"email": "x", "k": "\u200b"}))
    assert sentence == f"{NO_VALID_DATA} | The value provided for the 'email' field is not a valid email."
    sentence = refusal(check_track, track_of("attributes", {"email": "x\u200b"}))
    assert sentence.endswith(
        "The value provided for the 'email' field is not a valid email. "
        "'email' has the invisible character U+200B (ZERO WIDTH SPACE)."
    )


def test_half_a_pair_and_a_number_out_of_range() -> None:
    for raw, cause in (('"\\ud83d"', "half of a surrogate pair"), ("1e400", "a number out of range")):
        with pytest.raises(RefusedError) as refused:
            check_track(b'{"attributes":[{"external_id":%s}]}' % raw.encode())
        assert refused.value.errors[0].type == f"'external_id' must be a non-empty string. 'external_id' has {cause}."


def test_one_object_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        track_sync.check('{"events":[{"external_id":"a","name":"e","time":"\u200e2026"}]}'.encode())
    assert "U+200E (LEFT-TO-RIGHT MARK)" in refused.value.errors[0].type


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_named_is_there(name: str, text: str) -> None:
    """The cause is a character of the name or of the text; and without such characters nothing is added."""
    sentence = explained("'k' is not valid", {name: text, "k": text})
    added = re.search(r"U\+([0-9A-F]{4,6})", sentence)
    if added is None:
        assert sentence == "'k' is not valid"
    else:
        assert chr(int(added[1], 16)) in name + text
    assert not any(is_invisible(character) for character in visible(text))
    assert visible(visible(text)) == visible(text)


def test_looking_is_bounded() -> None:
    wide = {f"k{n}": {"time": "\u200b"} for n in range(5_000)}
    assert explained("'time' is not valid", wide) == "'time' is not valid"
    assert explained("'time' is not valid", {"time": "a" * 10**6 + "\u200b"}) == "'time' is not valid"
