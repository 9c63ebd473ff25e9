"""Objects of /users/track for property tests: nearly valid ones, hostile ones, and mixtures of both."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

Json = dict[str, Any]

_USUAL: Final = b"2026-01-05"
_YESTERDAY: Final = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d").encode()


def recent(body: bytes) -> bytes:
    """A request with yesterday for the usual date: occurrences older than some weeks are not stored."""
    return body.replace(_USUAL, _YESTERDAY)


_characters = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.text(_characters, max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "a",
            "true",
            "null",
            "\0",
            "a\0b",
            "é",
            "e\u0301",
            "\u202e",
            "\U0001f600",
            "x" * 255,
            "x" * 256,
            "2026-01-05",
            "2026-01-05T19:20:30+01:00",
            "01/05/2026",
            "$time",
            "inc",
            "1e400",
            "\uffff",
            "\x1f",
        ]
    ),
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 0.1, -0.0, 1e15, 1e308, 5e-324]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
operations = st.one_of(
    st.fixed_dictionaries({"inc": st.one_of(st.integers(-5, 5), scalars)}),
    st.fixed_dictionaries({}, optional={"add": values, "remove": values}),
    st.fixed_dictionaries(
        {},
        optional={
            "$add": values,
            "$remove": st.lists(st.fixed_dictionaries({"$identifier_key": texts, "$identifier_value": scalars})),
            "$update": values,
        },
    ),
    st.fixed_dictionaries({"$time": texts}),
)
external_ids: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "c",
            " a ",
            "é",
            "e\u0301",
            "",
            "\u2003",
            "x" * 246,
            "x" * 247,
            "é" * 400,
            "x" * 988,
            7,
            7.0,
            None,
            True,
            [],
            {},
        ]
    ),
    texts,
    numbers,
)
aliases = st.one_of(
    st.fixed_dictionaries(
        {
            "alias_name": st.sampled_from(["n", "m", "", " ", 5, "x" * 60, "é" * 120]),
            "alias_label": st.sampled_from(["l", "", "k"]),
        },
        optional={"extra": scalars},
    ),
    values,
)
emails = st.sampled_from(
    [
        "a@example.org",
        "A@Example.ORG ",
        "b@example.org",
        "a@b@c",
        "",
        "a@localhost",
        "jos\u00e9@example.org",
        "a@b\u00fccher.example",
        5,
        None,
        "a\0@example.org",
        "a" * 300 + "@example.org",
    ]
)
phones: st.SearchStrategy[Any] = st.sampled_from(
    ["+15043277269", "5043277269", "call me", "", 15043277269, None, [], "+351912345678"]
)
flags = st.sampled_from([True, False, "true", "false", None, 0, "x"])
moments = st.one_of(
    st.sampled_from(
        [
            "2026-01-05T19:20:30Z",
            "2026-01-05 19:20:30 -0500",
            "2126-01-01",
            "01/05/2026",
            "2024-02-30",
            "",
            5,
            None,
            "0001-01-01T00:00:00+23:59",
            "3000-12-31T23:59:59Z",
            "2016-12-31T23:59:60Z",
            "2026-01-05T19:20:30+99:99",
        ]
    ),
    texts,
)
identities: dict[str, st.SearchStrategy[Any]] = {
    "external_id": external_ids,
    "user_alias": aliases,
    "braze_id": st.one_of(external_ids, st.just("5eea769d45bb2e1467418f92")),
    "email": emails,
    "phone": phones,
}
_names = st.one_of(
    texts,
    st.sampled_from(
        [
            "first_name",
            "last_name",
            "country",
            "language",
            "time_zone",
            "home_city",
            "dob",
            "gender",
            "current_location",
            "date_of_first_session",
            "email_subscribe",
            "push_subscribe",
            "subscription_groups",
            "push_tokens",
            "facebook",
            "twitter",
            "image_url",
            "push_token_import",
            "bio",
            "alias_name",
            "email_subscription_info",
            "_merge_objects",
            "marked_email_as_spam_at",
            "email_open_tracking_disabled",
        ]
    ),
)
_field_values = st.one_of(
    values,
    operations,
    st.sampled_from(
        ["PT", "pt", "Europe/Lisbon", "1980-12-21", "F", "subscribed", "unsubscribed", "opted_in", "maybe"]
    ),
    st.fixed_dictionaries({"longitude": numbers, "latitude": numbers}),
)


@st.composite
def _with_identity(draw: st.DrawFn, fields: Json) -> Json:
    kind = draw(st.sampled_from(["one", "one", "one", "odd"]))
    if kind == "one":
        fields["external_id"] = draw(st.sampled_from(["a", "b", "c", 7]))
    else:
        for name in draw(st.lists(st.sampled_from(sorted(identities)), max_size=3, unique=True)):
            fields[name] = draw(identities[name])
    if draw(st.booleans()):
        fields["_update_existing_only"] = draw(flags)
    return fields


@st.composite
def attributes(draw: st.DrawFn) -> Json:
    fields: Json = draw(st.dictionaries(_names, _field_values, max_size=5))
    if draw(st.booleans()):
        fields["email"] = draw(emails)
    return draw(_with_identity(fields))


_properties = st.one_of(st.none(), st.dictionaries(texts, values, max_size=4), values)


@st.composite
def events(draw: st.DrawFn) -> Json:
    fields: Json = {"name": "e", "time": "2026-01-05T19:20:30Z"}
    odd = {
        "name": st.one_of(texts, scalars),
        "time": moments,
        "properties": _properties,
        "app_id": scalars,
        "x": values,
    }
    for name in draw(st.lists(st.sampled_from(sorted(odd)), max_size=2)):
        fields[name] = draw(odd[name])
    return draw(_with_identity(fields))


@st.composite
def purchases(draw: st.DrawFn) -> Json:
    fields: Json = {"product_id": "p", "currency": "USD", "price": 1.5, "time": "2026-01-05T19:20:30Z"}
    odd = {
        "product_id": st.one_of(texts, scalars),
        "currency": st.one_of(st.sampled_from(["usd", "EUR", "ABC", "XXX", "\u0131QD"]), scalars),
        "price": st.one_of(numbers, st.sampled_from(["1", "1e2", "NaN", "-5", ".5", "1.", "\u0661", 1e12, -1e12])),
        "quantity": st.one_of(st.integers(-1, 102), scalars, st.just(3.0)),
        "time": moments,
        "properties": _properties,
        "app_id": scalars,
    }
    for name in draw(st.lists(st.sampled_from(sorted(odd)), max_size=2)):
        fields[name] = draw(odd[name])
    return draw(_with_identity(fields))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A whole request as bytes, with the escapes and the numbers that only bytes can have."""
    document: Json = {}
    for name, objects in (("attributes", attributes()), ("events", events()), ("purchases", purchases())):
        if draw(st.booleans()):
            document[name] = draw(
                st.one_of(
                    st.lists(objects, min_size=1, max_size=3), st.lists(st.one_of(objects, values), max_size=3), objects
                )
            )
    if draw(st.integers(0, 9)) == 0:
        document[draw(st.sampled_from(["purchase", "partner", "Attributes"]))] = draw(
            st.one_of(st.lists(purchases(), max_size=2), values)
        )
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        text = text.replace("1.5", draw(st.sampled_from(["1e400", "9" * 400, "1.50", "-0", "1E2", "0.1e-400"])))
    return text.encode()


_calm_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), texts
)
_calm_values = st.one_of(
    _calm_scalars,
    st.lists(_calm_scalars, max_size=3),
    st.dictionaries(texts, _calm_scalars, max_size=3),
    st.lists(st.dictionaries(texts, _calm_scalars, max_size=2), max_size=2),
    st.fixed_dictionaries({"inc": st.integers(-5, 5)}),
)
_ODD: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "attributes": {"external_id": external_ids, "email": emails, "k": values, "dob": values, "phone": phones},
    "events": {
        "external_id": external_ids,
        "user_alias": aliases,
        "name": texts,
        "time": moments,
        "properties": _properties,
    },
    "purchases": {
        "external_id": external_ids,
        "user_alias": aliases,
        "product_id": texts,
        "time": moments,
        "currency": st.sampled_from(["usd", "ABC", "XXX", "\u0131QD", "", "USD "]),
        "price": numbers,
        "quantity": st.one_of(st.integers(-1, 102), st.sampled_from([1.0, 2.5, None, True])),
    },
}


@st.composite
def nearly_clean(draw: st.DrawFn) -> bytes:
    """A request of ordinary objects, in which at most one member is odd."""
    ids = st.sampled_from(["a", "b", "é"])
    document: Json = {
        "attributes": draw(
            st.lists(
                st.fixed_dictionaries(
                    {"external_id": ids},
                    optional={
                        "k": _calm_values,
                        "list": _calm_values,
                        "first_name": texts,
                        "country": texts,
                        "dob": texts,
                        "email": st.sampled_from(["a@example.org", "B@Example.org", None]),
                        "_merge_objects": flags,
                        "_update_existing_only": flags,
                    },
                ),
                max_size=2,
            )
        ),
        "events": draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "external_id": ids,
                        "name": st.sampled_from(["e", " e", "x" * 255]),
                        "time": st.just("2026-01-05"),
                    },
                    optional={
                        "properties": st.dictionaries(st.sampled_from(["p", "$q", "r"]), _calm_values),
                        "app_id": texts,
                    },
                ),
                max_size=2,
            )
        ),
        "purchases": draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "external_id": ids,
                        "product_id": st.just("p"),
                        "currency": st.sampled_from(["USD", "eur"]),
                        "price": st.one_of(st.integers(-(10**12), 10**12), st.floats(-1e12, 1e12)),
                        "time": st.just("2026-01-05T19:20:30Z"),
                    },
                    optional={"quantity": st.integers(1, 100), "_update_existing_only": st.booleans()},
                ),
                max_size=2,
            )
        ),
    }
    array = draw(st.sampled_from(sorted(_ODD)))
    if document[array] and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(_ODD[array])))
        document[array][0][name] = draw(_ODD[array][name])
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode()
