"""Requests of /users/track with something in them that breaks parsers, databases or assumptions, as bytes."""

import re
from typing import Final

from hypothesis import strategies as st

from tests.api.objects import bodies, nearly_clean, recent
from tests.fuzz.long import long, recommended

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[\[\]{},:]')

_TEXTS: Final = (
    rb'"\u0000"',
    rb'"a\u0000b"',
    rb'"a\u0000"',
    rb'"\\u0000"',
    rb'"\ud800"',
    rb'"\udc00"',
    rb'"\udc00\ud800"',
    rb'"\ud83d\ude00"',
    rb'"\u0041"',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b'"\xc0\xaf"',
    b'"\xef\xbb\xbf"',
    b'"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"',
    b'"\x00"',
    b'"\x1f"',
    b'"\x7f"',
    rb'"\b\f\n\r\t"',
    rb'"\x41"',
    rb'"\u202e"',
    rb'"\u200b"',
    '"\u00e9"'.encode(),
    '"e\u0301"'.encode(),
    '"\u0130"'.encode(),
    '"\uff41"'.encode(),
    b'""',
    b'" "',
    b'"' + b"x" * 255 + b'"',
    b'"' + b"x" * 256 + b'"',
    b'"' + b"x" * 5000 + b'"',
    b'"' + "\u00e9".encode() * 600 + b'"',
    b'"\'; drop table profile; --"',
    b'"%s %n {0} {{7*7}} ${jndi:ldap://x}"',
    b'"=cmd|calc"',
    b'"__proto__"',
    b'"$inc"',
    b'"_id"',
    b'"external_id"',
    b'"email"',
    b'"properties"',
    b'"2024-02-30"',
    b'"2024-02-29"',
    b'"0000-01-01"',
    b'"10000-01-01"',
    b'"9999-12-31T23:59:59.999999Z"',
    b'"0001-01-01T00:00:00Z"',
    b'"2016-12-31T23:59:60Z"',
    b'"2026-01-05T19:20:30+14:00"',
    b'"2026-01-05T19:20:30.123456789Z"',
    b'"2026-01-05T24:00:00Z"',
    b'"1e400"',
    b'"NaN"',
    b'"-5"',
    b'"\xd9\xa1"',
)
_NUMBERS: Final = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"-1e400",
    b"1e131071",
    b"1e-400",
    b"5e-324",
    b"1.7976931348623157e308",
    b"1e308",
    b"9007199254740993",
    b"-9007199254740993.0",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9" * 20,
    b"9" * 21,
    b"9" * 5000,
    b"0." + b"1" * 400,
    b"0.1",
    b"1.10",
    b"-0",
    b"-0.0",
    b"0e10",
    b"1E2",
    b"1.0",
    b"1000000000000",
    b"1000000000000.01",
    b"01",
    b"+1",
    b"0x10",
    b"1.",
    b".5",
    b"1_000",
)
_VALUES: Final = (
    *(b"[" * depth + b"1" + b"]" * depth for depth in (1, 14, 15, 16, 17, 254, 1100)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (1, 14, 15, 16, 17, 254, 1100)),
    b"[]",
    b"{}",
    b"[null]",
    b"[[]]",
    b'[1,"1",1.0,true,null]',
    b"[" + b",".join([b'"x"'] * 501) + b"]",
    b'{"a":1,"a":2}',
    rb'{"a":1,"\u0061":2}',
    b'{"":1}',
    b'{"inc":1}',
    b'{"inc":9223372036854775807}',
    b'{"inc":-9223372036854775808}',
    b'{"inc":1e308}',
    b'{"inc":"1"}',
    b'{"inc":1,"add":["x"]}',
    b'{"add":["x","y"]}',
    b'{"add":"x"}',
    b'{"add":[{"a":1}]}',
    b'{"remove":["x"]}',
    b'{"remove":[1,1.0,true]}',
    b'{"$time":"2026-01-05"}',
    b'{"$time":"2024-02-30"}',
    b'[{"$time":"2026-01-05"}]',
    b'{"$add":[{"id":1,"v":"a"}]}',
    b'{"$update":[{"$identifier_key":"id","$identifier_value":1,"$new_object":{"v":"b"}}]}',
    b'{"$remove":[{"$identifier_key":"id","$identifier_value":1}]}',
    b'[{"id":1,"v":"a"},{"id":1.0,"v":"b"}]',
    b'{"longitude":180.1,"latitude":-0.0}',
    b'{"longitude":-180,"latitude":90}',
    b'{"alias_name":"n","alias_label":"l"}',
    b'[{"token":"t","app_id":"a"}]',
    b'[{"subscription_group_id":"g","subscription_state":"subscribed"}]',
    b"true",
    b"false",
    b"null",
    b"/**/1",
    b"'x'",
    b"undefined",
    b",",
    b"}",
    b"",
)
_tokens: Final = st.sampled_from(_TEXTS + _NUMBERS + _VALUES)


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """A request in which one or two tokens, names and punctuation included, are hostile ones."""
    for _ in range(draw(st.integers(1, 2))):
        places = list(_TOKEN.finditer(body))
        place = places[draw(st.integers(0, len(places) - 1))]
        body = body[: place.start()] + draw(_tokens) + body[place.end() :]
    return body


@st.composite
def valued(draw: st.DrawFn) -> bytes:
    """A valid request with hostile values where any value may be: most of these are accepted."""
    values = st.sampled_from(_TEXTS + _NUMBERS + _VALUES[:-7])
    external_id = draw(st.sampled_from([b'"a"', b'"b"', b"7"]))
    attributes = b",".join(b'"k%d":' % n + draw(values) for n in range(draw(st.integers(1, 3))))
    properties = b",".join(b'"p%d":' % n + draw(values) for n in range(draw(st.integers(0, 2))))
    name, field = draw(st.sampled_from([b'"e"', b'"f"'])), draw(_fields)
    return (
        b'{"attributes":[{"external_id":%(id)s,%(field)s%(attributes)s}],'
        b'"events":[{"external_id":%(id)s,"name":%(name)s,"time":"2026-01-05","properties":{%(properties)s}}]}'
    ) % {
        b"id": external_id,
        b"name": name,
        b"attributes": attributes,
        b"properties": properties,
        b"field": b"" if field is None else b'"%s":%s,' % (field, draw(values)),
    }


_fields: Final = st.one_of(
    st.none(),
    st.sampled_from(
        (
            *(
                b"first_name",
                b"email",
                b"phone",
                b"country",
                b"language",
                b"time_zone",
                b"dob",
                b"gender",
                b"home_city",
            ),
            *(b"current_location", b"date_of_first_session", b"email_subscribe", b"facebook", b"twitter", b"image_url"),
            *(b"_merge_objects", b"_update_existing_only", b"marked_email_as_spam_at", b"user_alias", b"braze_id"),
        )
    ),
)
_HALF: Final = re.compile(rb'(?<!\\)"(?=[,:}\]])')


@st.composite
def halved(draw: st.DrawFn, body: bytes) -> bytes:
    """The request with half of a surrogate pair at the end of one of its texts, names of members included."""
    places = list(_HALF.finditer(body))
    if not places:
        return body
    place = places[draw(st.integers(0, len(places) - 1))].start()
    return body[:place] + draw(st.sampled_from((rb"\ud83d", rb"\uDC00", rb"\ude00\ud83d"))) + body[place:]


#: Cases of one `family`.
FAMILY: Final = 12


@st.composite
def family(draw: st.DrawFn) -> list[bytes]:
    """FAMILY requests: a nearly valid one, changes of it, and others. Making the first takes longer than the rest."""
    first = draw(st.one_of(nearly_clean(), bodies()))
    changed = [draw(mutated(first)) for _ in range(4)]
    other = draw(st.one_of(long(), recommended(), recommended()))
    made = [first, draw(halved(first)), *changed, other, *(draw(valued()) for _ in range(FAMILY - 7))]
    return [recent(body) for body in made]
