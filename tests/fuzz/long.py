"""Long requests of /users/track, to 100 KB and a little more: what grows when it is read, and what takes long to read.

A limit that is proved by the bytes of a body is wrong where a value takes other bytes when it is written back, so
numbers come in every form that JSON has. The rest is long in other ways: arrays, depth, nulls inside, halves of
surrogate pairs, recommended e-commerce events with many products.
"""

import json
from typing import Final

from hypothesis import strategies as st

from tests.contract.recommended import LEAST, NAMES, PRODUCT, WITH_PRODUCTS, full

SIZES: Final = (200, 2_000, 10_000, 20_481, 26_000, 60_000, 100_000, 102_399, 102_401, 110_000)
#: How the same numbers, and others, may be written.
NUMBERS: Final = (
    *(b"0", b"-0", b"-0.0", b"0.0", b"0e0", b"0E-5", b"1", b"-1", b"1.0", b"1.50", b"10e-1", b"0.1", b"0.10"),
    *(b"1e0", b"1E0", b"1e+2", b"1E+2", b"1e2", b"2e0", b"1.0E7", b"1e7", b"123456789.125e3", b"1e15", b"1E15"),
    *(b"1e16", b"1e18", b"-1e18", b"9e18", b"1e19", b"1e20", b"1e22", b"1e-5", b"1e-7", b"1.5e-7", b"1e-99", b"1e-101"),
    *(b"0.1e-400", b"1e-400", b"5e-324", b"1e308", b"1.7976931348623157e308", b"1E400", b"-1E400", b"1e131071"),
    *(b"9007199254740993", b"9007199254740993.0", b"9223372036854775807", b"9223372036854775808"),
    *(b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"9" * 20, b"9" * 21, b"9" * 400),
    *(b"0." + b"3" * 40, b"1." + b"0" * 40, b"100000000000000000000e-20", b"0.000001", b"0.0000001"),
)
_SCALARS: Final = (
    *(b"null", b"true", b'""', b'"x"', b'"\\ud83d\\ude00"', b'"\\u00e9"', '"\u00e9"'.encode(), b'"2026-01-05"'),
    *(b'"' + b"x" * 255 + b'"', b'"' + b"\\u0001" * 40 + b'"', b'"\\/\\b\\n"', b"[]", b"{}"),
)
#: Texts with half of a surrogate pair, and with NUL.
_BROKEN: Final = (b'"\\ud83d"', b'"a\\udc00b"', b'"\\ude00\\ud83d"', b'"\\u0000"')
_OBJECTS: Final = (
    *(b'{"a":null}', b'{"a":1,"b":null}', b'{"a":{"b":null,"c":1}}', b'{"a":[null]}', b'{"a":[{"b":null}],"c":null}'),
    *(b'{"id":1,"v":"a"}', b'{"id":1.0,"v":null}', b'{"$time":"2026-01-05"}', b'{"a":1e18}', b'{"a.b":1}'),
)
_DEEP: Final = (
    *(b"[" * depth + b"1e7" + b"]" * depth for depth in (2, 14, 15, 16)),
    *(b'{"a":' * depth + b"null" + b"}" * depth for depth in (2, 14, 15, 16)),
    *(b'[{"a":' * depth + b"null" + b"}]" * depth for depth in (1, 6, 7, 8)),
)
_elements: Final = st.lists(
    st.one_of(
        st.sampled_from(NUMBERS),
        st.sampled_from(NUMBERS),
        st.sampled_from(_SCALARS),
        st.sampled_from(_OBJECTS),
        st.sampled_from(_DEEP),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def _filled(draw: st.DrawFn, size: int) -> bytes:
    """An array or an object of about `size` bytes, of few elements again and again."""
    elements = draw(_elements)
    count = max(1, size // sum(len(element) + 1 for element in elements))
    form = draw(st.sampled_from(("array", "array", "object", "objects", "nested")))
    if form == "object":
        names = (b'"%d":' % n for n in range(count * len(elements)))
        return b"{" + b",".join(name + value for name, value in zip(names, elements * count, strict=True)) + b"}"
    if form == "objects":
        return b"[" + b",".join(b'{"k":%s}' % element for element in elements * count) + b"]"
    filled = b"[" + b",".join(elements * count) + b"]"
    return b'{"a":{"b":%s,"c":null}}' % filled if form == "nested" else filled


@st.composite
def _object(draw: st.DrawFn, size: int) -> tuple[str, bytes]:
    """(array, object) with one long value somewhere."""
    value = draw(_filled(size))
    if draw(st.integers(0, 7)) == 0:
        place = draw(st.integers(0, value.count(b",")))
        value = b",".join((*value.split(b",")[:place], draw(st.sampled_from(_BROKEN)), *value.split(b",")[place + 1 :]))
    operation = draw(st.sampled_from((None, None, None, b"add", b"remove", b"$add", b"$remove", b"$update")))
    array = draw(st.sampled_from(("attributes", "events", "events", "purchases")))
    if array == "attributes":
        value = value if operation is None else b'{"%s":%s}' % (operation, value)
        merge = draw(st.sampled_from((b"", b'"_merge_objects":true,')))
        return array, b'{"external_id":"a",%s"k":%s}' % (merge, value)
    properties = value if value[:1] == b"{" else b'{"p":%s}' % value
    if array == "events":
        return array, b'{"external_id":"a","name":"e","time":"2026-01-05","properties":%s}' % properties
    return array, (
        b'{"external_id":"a","product_id":"p","currency":"USD","price":%s,"time":"2026-01-05","properties":%s}'
        % (draw(st.sampled_from((*NUMBERS[:20], b'"1e2"', b'"1.10"'))), properties)
    )


@st.composite
def long(draw: st.DrawFn) -> bytes:
    """A request with a long object, and an innocent one beside it."""
    array, obj = draw(_object(draw(st.sampled_from(SIZES))))
    who = b'"external_id":"b","name":"innocent","product_id":"p","currency":"USD","price":1,"k":1,"time":"2026-01-05"'
    innocent = b'"%s":[{' + who + b"}%s]"
    if array == "events":
        return b"{" + innocent % (b"events", b"," + obj) + b"}"
    return b"{" + innocent % (b"events", b"") + b',"%s":[%s]}' % (array.encode(), obj)


@st.composite
def recommended(draw: st.DrawFn) -> bytes:
    """Recommended e-commerce events, most of which follow their schema, with numbers in every form."""
    events = []
    for n in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(NAMES))
        properties = dict(draw(st.sampled_from((LEAST[name], full(name)))))
        if name in WITH_PRODUCTS:
            count = draw(st.sampled_from((0, 1, 2, 30, 600)))
            properties["products"] = [PRODUCT | {"product_id": f"p{k % 520}", "quantity": 77} for k in range(count)]
        if draw(st.integers(0, 5)) == 0:
            wrong = st.sampled_from([None, [], {}, "", "x", -1, 1.5, True, [None], [PRODUCT], {"a": None}])
            properties[draw(st.sampled_from([*properties, "more"]))] = draw(wrong)
        event = {"external_id": draw(st.sampled_from(["a", "b"])), "name": name, "time": "2026-01-05"}
        text = json.dumps({**event, "properties": properties, "n": n})
        for sent, forms in (("21", NUMBERS[:36]), ("77", (b"1", b"1.0", b"2e0", b"1e1")), ("10.5", NUMBERS[:36])):
            text = text.replace(sent, draw(st.sampled_from(forms)).decode())
        if draw(st.integers(0, 9)) == 0:
            text = text.replace(
                *draw(st.sampled_from([('"USD"', '"eur"'), ('"USD"', '"US\\ud83d"'), ('"o"', '"\\u0000"')]))
            )
        events.append(text)
    return ('{"events":[' + ",".join(events) + "]}").encode()
