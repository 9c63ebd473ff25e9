"""JSON that is none, that is no request, and values that nobody can store: what is sent, and what becomes of it."""

import json
from typing import Final

PARSE_ERROR: Final = "Error while parsing request body. Please check your syntax."


NO_VALID_DATA: Final = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


NUL: Final = b"\\u0000"


def around(raw: bytes) -> bytes:
    """The value as a custom attribute, beside a good object."""
    return b'{"attributes":[{"external_id":"bad","k":' + raw + b'},{"external_id":"good","k":1}]}'


NO_JSON: Final[dict[str, bytes]] = {
    "36 raw NUL": around(b'"\0"'),
    "36 raw control": around(b'"\x1f"'),
    "36 NUL behind": around(b"1") + b"\0",
    "38 stray byte": around(b'"\xff"'),
    "38 cut": around(b'"\xc3"'),
    "38 overlong": around(b'"\xc0\x80"'),
    "38 overlong slash": around(b'"\xe0\x80\xaf"'),
    "38 CESU-8": around(b'"\xed\xa0\xbd\xed\xb8\x80"'),
    "38 beyond Unicode": around(b'"\xf4\x90\x80\x80"'),
    "38 in a key": around(b'{"\xff":1}'),
    "38 beside a large number": around(b'[1e400,"\xff"]'),
    "39 two BOMs": b"\xef\xbb\xbf" * 2 + around(b"1"),
    "40 UTF-16": json.dumps({"attributes": [{"external_id": "a"}]}).encode("utf-16"),
    "40 UTF-16BE": json.dumps({"attributes": [{"external_id": "a"}]}).encode("utf-16-be"),
    "40 UTF-32": json.dumps({"attributes": [{"external_id": "a"}]}).encode("utf-32"),
    "41 NaN": around(b"NaN"),
    "41 Infinity": around(b"Infinity"),
    "41 -Infinity": around(b"-Infinity"),
    "41 NaN beside a large number": around(b"[1e400,NaN]"),
    "52 trailing comma": b'{"attributes":[{"external_id":"a"},]}',
    "52 trailing comma in object": b'{"attributes":[{"external_id":"a",}]}',
    "52 comment": b'{"attributes":[{"external_id":"a"}]/* x */}',
    "52 line comment": b'{"attributes":[{"external_id":"a"}]} // x',
    "52 single quotes": b"{'attributes':[{'external_id':'a'}]}",
    "52 bare key": b'{attributes:[{"external_id":"a"}]}',
    "52 hex": around(b"0x10"),
    "52 leading zero": around(b"010"),
    "52 plus": around(b"+1"),
    "52 dot first": around(b".5"),
    "52 dot last": around(b"5."),
    "52 exponent alone": around(b"1e"),
    "52 underscore": around(b"1_000"),
    "52 True": around(b"True"),
    "52 undefined": around(b"undefined"),
    "52 raw newline in text": around(b'"a\nb"'),
    "52 unknown escape": around(b'"\\x41"'),
    "52 short escape": around(b'"\\u12"'),
    "52 unterminated": around(b'"abc'),
    "53 two documents": around(b"1") * 2,
    "53 two documents, a line each": around(b"1") + b"\n" + around(b"1"),
    "53 trailing garbage": around(b"1") + b"x",
    "53 trailing brace": around(b"1") + b"}",
    "form": b"attributes=1&events=2",
    "XML": b"<?xml version='1.0'?><a/>",
}


#: JSON that is no request (54), nor has anything in it (59).
NO_REQUEST: Final[dict[str, bytes]] = {
    "54 null": b"null",
    "54 true": b"true",
    "54 array": b"[]",
    "54 array of objects": b'[{"attributes":[{"external_id":"a"}]}]',
    "54 text": b'"attributes"',
    "54 number": b"1",
    "54 large number": b"1e400",
    "59 nothing": b"{}",
    "59 empty": b'{"attributes":[],"events":[],"purchases":[]}',
    "59 null": b'{"attributes":null,"events":null,"purchases":null,"purchase":null}',
    "56 unknown keys only": b'{"partner":"x","Attributes":[{"external_id":"a"}]}',
}


#: Members that are no arrays: the answer names the first of them (DECISIONS D63).
NO_ARRAY: Final[dict[str, tuple[str, bytes]]] = {
    "57 text": ("attributes", b'{"attributes":"x","events":[{"external_id":"a","name":"e","time":"2026-01-01"}]}'),
    "57 number": ("attributes", b'{"attributes":7}'),
    "57 false": ("attributes", b'{"attributes":false}'),
    "57 zero": ("events", b'{"events":0}'),
}


#: One object is refused for it: alone 400, beside a good one 201.
ONE_OBJECT: Final[dict[str, bytes]] = {
    "33 NUL in a value": b'{"external_id":"bad","k":"a' + NUL + b'b"}',
    "33 NUL in a reserved field": b'{"external_id":"bad","first_name":"' + NUL + b'"}',
    "33 NUL deep": b'{"external_id":"bad","k":{"a":[{"b":"' + NUL + b'"}]}}',
    "34 NUL in a name": b'{"external_id":"bad","k' + NUL + b'":1}',
    "34 NUL in a nested key": b'{"external_id":"bad","k":{"' + NUL + b'":1}}',
    "35 NUL in external_id": b'{"external_id":"bad' + NUL + b'"}',
    "35 NUL alone": b'{"external_id":"' + NUL + b'"}',
    "35 NUL in email": b'{"email":"a' + NUL + b'@example.org"}',
    "35 NUL in alias": b'{"user_alias":{"alias_name":"' + NUL + b'","alias_label":"l"},"_update_existing_only":false}',
    "48 one level too deep": b'{"external_id":"bad","k":' + b"[" * 16 + b"]" * 16 + b"}",
    "48 depth 17": b'{"external_id":"bad","k":' + b"[" * 17 + b"]" * 17 + b"}",
    "48 depth 17 of objects": b'{"external_id":"bad","k":' + b'{"a":' * 17 + b"1" + b"}" * 17 + b"}",
    "48 depth 200": b'{"external_id":"bad","k":' + b"[" * 200 + b"]" * 200 + b"}",
    "48 depth 255": b'{"external_id":"bad","k":' + b'{"a":' * 255 + b"1" + b"}" * 255 + b"}",
    "44 external_id of 5,000 digits": b'{"external_id":' + b"9" * 5000 + b"}",
    "42 external_id 1e400": b'{"external_id":1e400}',
}


LARGE: Final = "value_out_of_range"


BROKEN: Final = "invalid_text"


#: Valid JSON in a custom attribute: what is stored, or the reason why the field is not.
VALUES: Final[dict[str, tuple[bytes, object]]] = {
    "42 1e400": (b"1e400", LARGE),
    "42 -1e400": (b"-1e400", LARGE),
    "42 1e131071": (b"1e131071", LARGE),
    "42 1e-400": (b"1e-400", 0.0),
    "42 1e308": (b"1e308", LARGE),
    "42 deep 1e400": (b'{"a":[1,{"b":1e400}]}', LARGE),
    "37 lone high": (b'"\\ud800"', BROKEN),
    "37 lone low": (b'"\\uDC00"', BROKEN),
    "37 reversed": (b'"\\udc00\\ud800"', BROKEN),
    "37 half an emoji": (b'"hi \\ud83d"', BROKEN),
    "37 lone in an array": (b'["a","\\ud83d"]', BROKEN),
    "37 lone in an object": (b'{"a":{"b":"\\ud83d"}}', BROKEN),
    "37 lone in a key": (b'{"\\ud83d":1}', BROKEN),
    "37 lone in an operation": (b'{"add":["\\ud83d"]}', BROKEN),
    "37 lone behind a large number": (b'[1e400,"\\ud800"]', LARGE),
    "43 2^53": (b"9007199254740992", 2**53),
    "43 2^53+1": (b"9007199254740993", 2**53 + 1),
    "43 2^63-1": (b"9223372036854775807", 2**63 - 1),
    "43 2^63": (b"9223372036854775808", LARGE),
    "43 2^64": (b"18446744073709551616", LARGE),
    "43 -2^63": (b"-9223372036854775808", -(2**63)),
    "43 -2^63-1": (b"-9223372036854775809", LARGE),
    "44 5,000 digits": (b"9" * 5000, LARGE),
    "44 -5,000 digits": (b"-" + b"9" * 5000, LARGE),
    "44 20 digits": (b"9" * 20, LARGE),
    "44 deep": (b"[" + b"9" * 5000 + b"]", LARGE),
    "45 fraction of 400 digits": (b"0." + b"3" * 400, 0.3333333333333333),
    "46 -0.0": (b"-0.0", 0.0),
    "46 -0": (b"-0", 0),
    "47 repeated key": (b'{"a":1,"a":2}', {"a": 2}),
    "47 repeated key, escaped": (b'{"a":1,"\\u0061":2}', {"a": 2}),
    "a pair of surrogates": (b'"\\ud83d\\ude00"', "\U0001f600"),
    "U+FFFF": (b'"\xef\xbf\xbf"', "\uffff"),
    "line separators": (b'"\\u2028\\u2029\\u0085"', "\u2028\u2029\u0085"),
    "U+001F escaped": (b'"\\u001f\\b\\n"', "\x1f\b\n"),
    "escaped slash": (b'"<\\/script>"', "</script>"),
    "backslash u0000 as text": (b'"\\\\u0000"', "\\u0000"),
    "an empty text": (b'""', ""),
}


TOO_DEEP: Final[dict[str, bytes]] = {
    "48 100,000 arrays": around(b"[" * 100_000 + b"]" * 100_000),
    "48 100,000 objects": around(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "48 100,000 open": around(b"[" * 100_000),
}


TOO_MANY_VALUES: Final[dict[str, bytes]] = {
    "49 300,000 keys": around(b"{" + b",".join(b'"k%d":1' % n for n in range(300_000)) + b"}"),
    "49 300,000 keys at the top": b"{" + b",".join(b'"k%d":1' % n for n in range(300_000)) + b"}",
}
