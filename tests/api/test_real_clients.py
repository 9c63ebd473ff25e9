"""What real clients and first users send: nothing is lost, and what is not taken is named. A row for each kind of it.

Every row is sent to both stores. `~` stands for a day that is recent enough for occurrences.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.api.harness import Json, Service, Workspace

YESTERDAY: Final = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")


@dataclass(frozen=True)
class Row:
    """A body, whose objects are about the person `x`, and what becomes of it."""

    body: bytes
    #: Members of the exported profile.
    shown: Json = field(default_factory=dict)
    #: (field, reason)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    #: (array, index)
    errors: list[tuple[str, int]] = field(default_factory=list)


def attributes(members: str, *, skipped: list[tuple[str, str]] | None = None, **shown: Any) -> Row:
    body = f'{{"attributes":[{{"external_id":"x",{members}}},{{"external_id":"other","k":1}}]}}'
    return Row(body.encode(), shown, skipped or [])


def custom(value: str, stored: Any, *skipped: tuple[str, str]) -> Row:
    """A custom attribute `k`."""
    return attributes(f'"k":{value}', custom_attributes={} if stored is None else {"k": stored}, skipped=[*skipped])


def event(time: str, shown: str) -> Row:
    body = f'{{"events":[{{"external_id":"x","name":"e","time":{json.dumps(time)}}}]}}'
    return Row(body.encode(), {"custom_events": [{"name": "e", "first": shown, "last": shown, "count": 1}]})


def purchase(members: str, *, skipped: list[tuple[str, str]] | None = None, **shown: Any) -> Row:
    sent = '"product_id":"p","currency":"USD","price":10,"time":"~",' + members
    merged = json.dumps(json.loads("{" + sent + "}"))[1:-1]
    return Row((f'{{"purchases":[{{"external_id":"x",{merged}}}]}}').encode(), shown, skipped or [])


def long(number: bytes, count: int, *, refused: bool) -> Row:
    """An event with many numbers, and an innocent one beside it."""
    numbers = b",".join([number] * count)
    body = (
        b'{"events":[{"external_id":"x","name":"e","time":"~","properties":{"a":[%s]}},'
        b'{"external_id":"x","name":"innocent","time":"~"}]}' % numbers
    )
    return Row(body, errors=[("events", 0)] if refused else [])


US: Final = "+14155550132"
#: By the number of the report, or of the decision, that it is about.
ROWS: Final[dict[str, Row]] = {
    # 1: what is written back is longer than what was sent
    "1 1.0E7": long(b"1.0E7", 15_000, refused=True),
    "1 1e18": long(b"1e18", 5_200, refused=True),
    "1 1e15": long(b"1e15", 6_000, refused=False),
    "1 -1e18": long(b"-1E+18", 5_200, refused=True),
    "1 0.1e-400": long(b"0.1e-400", 9_000, refused=False),
    "1 20 digits": replace(long(b"9" * 20, 4_000, refused=False), skipped=[("a", "value_out_of_range")]),
    # 3: half an emoji
    "3 value": custom('"hi \\ud83d"', None, ("k", "invalid_text")),
    "3 name": attributes('"k\\ud83d":1,"n":2', custom_attributes={"n": 2}, skipped=[("k\\ud83d", "invalid_text")]),
    "3 reserved": attributes(
        '"first_name":"A\\ude00","last_name":"B"', last_name="B", skipped=[("first_name", "invalid_text")]
    ),
    "3 nested": custom('{"a":["\\ud83d"]}', None, ("k", "invalid_text")),
    "3 property": Row(
        b'{"events":[{"external_id":"x","name":"e","time":"~","properties":{"a":"\\ud83d","b":1}}]}',
        skipped=[("a", "invalid_text")],
    ),
    "3 ignored member": Row(
        b'{"partner":"\\ud83d","events":[{"external_id":"x","name":"e","time":"~","note":"\\ud83d"}]}',
    ),
    "3 id": Row(
        b'{"attributes":[{"external_id":"\\ud83d"},{"external_id":"x","k":1}]}',
        {"custom_attributes": {"k": 1}},
        errors=[("attributes", 0)],
    ),
    # 4: phones
    **{
        f"4 {phone!a}": attributes(f'"phone":{json.dumps(phone)}', phone=US)
        for phone in (
            *(
                "415.555.0132",
                "415\u2011555\u20110132",
                "415\u00a0555\u00a00132",
                "(+1) 415 555 0132",
                "+1 (415) 555-0132",
            ),
            *("\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff13\uff12", "\u202a+14155550132\u202c"),
            *("tel:+1-415-555-0132", "[415] 555/0132", "\u200e415\u200f 555 0132", "1-415-555-0132\t"),
        )
    },
    # 5, D68: languages and currencies
    **{
        f"5 {sent}": attributes(f'"language":"{sent}"', language=kept)
        for sent, kept in (("pt-BR", "pt"), ("zh-Hans-CN", "zh"), ("fil", "fil"), ("EN", "en"), ("de_AT", "de"))
    },
    "5 no language": attributes('"language":"xx"', skipped=[("language", "invalid_value")]),
    **{
        f"5 {code}": purchase(f'"currency":"{code}"', skipped=[("price", "no_usd_rate")], total_revenue=0.0)
        for code in ("BTC", "FRF", "ggp", "IMP", "JEP", "ZWR")
    },
    "5 EUR": purchase('"currency":"eur"', total_revenue=20.0),
    # 6: operators
    "6 add beside $add": custom('{"add":[{"id":1}],"$add":[{"id":1}]}', [{"id": 1}], ("k.add", "invalid_operation")),
    "6 more": custom(
        '{"$add":[{"id":1}],"x":1,"$y":2}', [{"id": 1}], ("k.x", "invalid_operation"), ("k.$y", "invalid_operation")
    ),
    "9 no name": attributes('"":1,"n":2', custom_attributes={"n": 2}, skipped=[("", "invalid_name")]),
    "9 blank name": attributes('"  ":1,"n":2', custom_attributes={"n": 2}, skipped=[("  ", "invalid_name")]),
    "9 inside": custom('{"":1}', None, ("k", "invalid_key")),
    "D55": attributes(
        '"$google_ad_user_data":true,"$google_ad_personalization":false,"$google":1',
        custom_attributes={"$google_ad_user_data": True, "$google_ad_personalization": False},
        skipped=[("$google", "invalid_name")],
    ),
    "D59 1,024": attributes('"image_url":"%s"' % ("u" * 1024)),
    "D59 1,025": attributes('"image_url":"%s"' % ("u" * 1025), skipped=[("image_url", "invalid_value")]),
    # D61: reserved names
    "D61 purchase": purchase(
        '"properties":{"currency":"EUR","price":2,"time":"x","product_id":"q","quantity":2,"event_name":"e","colour":"red"}',
        skipped=[
            (name, "reserved_name") for name in ("currency", "price", "time", "product_id", "quantity", "event_name")
        ],
        total_revenue=10.0,
    ),
    "D61 event": Row(
        b'{"events":[{"external_id":"x","name":"e","time":"~","properties":{"time":1,"event_name":2,"price":3}}]}',
        skipped=[("time", "reserved_name"), ("event_name", "reserved_name")],
    ),
    # D62: nested null
    "D62 object": custom('{"a":null,"b":1}', {"b": 1}, ("k.a", "nested_null")),
    "D62 array": custom('[{"a":null,"b":1},null]', [{"b": 1}], ("k.0.a", "nested_null"), ("k.1", "nested_null")),
    "D62 deep": custom(
        '{"a":{"b":[{"c":null}],"d":null}}', {"a": {"b": [{}]}}, ("k.a.b.0.c", "nested_null"), ("k.a.d", "nested_null")
    ),
    "D62 only": custom('{"a":null}', {}, ("k.a", "nested_null")),
    "D64": custom('{"inc":2.0}', 2),
    # D65: times; a date of birth takes what an export gives
    **{
        f"D65 {time!r}": event(time.replace("~", YESTERDAY), f"{YESTERDAY}T{clock}Z")
        for time, clock in (
            *(("~T10:00Z", "10:00:00.000"), ("~T10:00:00,5Z", "10:00:00.500"), (" ~ ", "00:00:00.000")),
            *(("~T10:00:00+01:00[Europe/Paris]", "09:00:00.000"), ("~T10:00:00Z[UTC]", "10:00:00.000")),
            *(("~ 10:00:00", "10:00:00.000"), ("~T10:00:00.123456789Z", "10:00:00.123")),
        )
    },
    "D65 basic": event(f"{YESTERDAY.replace('-', '')}T100000Z", f"{YESTERDAY}T10:00:00.000Z"),
    "D65 $time": custom('{"$time":"20260105T1000Z"}', "2026-01-05T10:00:00.000Z"),
    "D65 dob": attributes('"dob":"1980-12-21T00:00:00.000Z"', dob="1980-12-21T00:00:00.000Z"),
    "D65 dob with a zone": attributes('"dob":"1980-12-21T23:30:00-05:00"', dob="1980-12-21T00:00:00.000Z"),
    "D65 text": custom('"20260105"', "20260105"),
    "D66 BOM": Row(b'\xef\xbb\xbf{"attributes":[{"external_id":"x","k":1}]}', {"custom_attributes": {"k": 1}}),
    # D67: e-mail addresses
    **{
        f"D67 {mail}": attributes(f'"email":"{mail}"', email=mail.lower())
        for mail in (
            "a..b@docomo.ne.jp",
            "a.@docomo.ne.jp",
            ".a@docomo.ne.jp",
            "A@ab--c.example",
            "a+b@xn--bcher-kva.example",
        )
    },
    # names of reserved fields with something that nobody sees
    "18 name": attributes(
        '"first_name\\u200b":"A"', skipped=[("first_name\u200b", "invalid_name")], custom_attributes={}
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row(workspace: Workspace, row: Row) -> None:
    workspace.change(fixed_rates={"EUR": [[0, "2"]]})
    answer = workspace.track(row.body.replace(b"~", YESTERDAY.encode()))
    assert (answer.status, answer.errors) == (201, row.errors), answer.text
    assert sorted((name, reason) for _, _, name, reason in workspace.skipped(answer.request_id)) == sorted(row.skipped)
    user = workspace.user("x")
    shown = {"custom_attributes": {}, **user}
    assert {name: shown.get(name) for name in row.shown} == row.shown


def test_d58_a_line_id_is_given_back_and_makes_no_alias(workspace: Workspace) -> None:
    answer = workspace.track({"attributes": [{"external_id": "x", "native_line_id": "U1"}]})
    assert (answer.status, workspace.skipped(answer.request_id)) == (201, [])
    assert (workspace.user("x")["native_line_id"], workspace.user("x")["user_aliases"]) == ("U1", [])
    answer = workspace.track({"attributes": [{"external_id": "x", "native_line_id": "U" * 256}]})
    assert workspace.skipped(answer.request_id) == [("attributes", 0, "native_line_id", "invalid_value")]
    assert workspace.user("x")["native_line_id"] == "U1"


def test_d60_a_merge_that_does_nothing_is_202_and_says_so_later(workspace: Workspace) -> None:
    pair = {"identifier_to_merge": {"external_id": "nobody-1"}, "identifier_to_keep": {"external_id": "nobody-2"}}
    answer = workspace.post("/users/merge", {"merge_updates": [pair]})
    assert (answer.status, answer.body) == (202, {"message": "success"})
    assert [reason for *_, reason in workspace.skipped(answer.request_id)] == ["profile_not_found"]


@pytest.mark.parametrize("way", ["merge", "identify"])
def test_d70_a_retired_alias_is_named(workspace: Workspace, way: str) -> None:
    """The kept profile has the label under another name: later writes by the retired one reach nobody."""
    guest = {"alias_label": "web", "alias_name": "guest-17"}
    kept = {"external_id": "x", "alias_label": "web", "alias_name": "member-17"}
    assert workspace.track({"attributes": [{"external_id": "x"}]}).status == 201
    aliases = [kept, guest] if way == "merge" else [kept, {**guest, "external_id": None}]
    assert workspace.post("/users/alias/new", {"user_aliases": aliases}).status == 201
    if way == "merge":
        pair = {"identifier_to_merge": {"user_alias": guest}, "identifier_to_keep": {"external_id": "x"}}
        answer = workspace.post("/users/merge", {"merge_updates": [pair]})
        told = [("merge_updates", 0, "web", "alias_retired")]
    else:  # by alias nothing is combined
        answer = workspace.post("/users/identify", {"aliases_to_identify": [{"external_id": "x", "user_alias": guest}]})
        told = [("aliases_to_identify", 0, "", "label_conflict")]
    assert workspace.skipped(answer.request_id) == told


def test_d71_one_malformed_entry_of_an_export(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "x", "k": 1}]})
    asked = {
        "external_ids": ["x", 5, {"a": 1}, "", None],
        "user_aliases": [{"alias_name": "n"}, {"alias_label": "l", "alias_name": "n"}],
    }
    answer = workspace.post("/users/export/ids", asked, drain=False)
    assert answer.status == 201
    assert [user["external_id"] for user in answer.body["users"]] == ["x"]
    assert answer.body["invalid_user_ids"] == ["5", '{"a":1}', "", "null"]
    assert answer.errors == [("user_aliases", 0)]


@pytest.mark.parametrize(("permission", "bulk", "track"), [("users.track", 201, 201), ("users.track.bulk", 201, 403)])
def test_d56_either_permission_opens_bulk(service: Service, permission: str, bulk: int, track: int) -> None:
    workspace = service.workspace()
    headers = workspace.headers() | {"Authorization": f"Bearer {service.key(workspace.id, permission)}"}
    body = b'{"attributes":[{"external_id":"x","k":1}]}'
    assert service.send("POST", "/users/track/bulk", body, headers).status == bulk
    assert service.send("POST", "/users/track", body, headers).status == track
