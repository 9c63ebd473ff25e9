"""Requests that collide: few people under many names, so that every rule about identity meets every other one."""

from typing import Any

from hypothesis import strategies as st

EXTERNAL_IDS = ("ada", "bob", "Ada", "é", "é")
EMAILS = ("x@example.org", "Y@example.org", "z@example.org")
PHONES = ("+34600123456", "+351912345678")
ALIASES = (("crm", "1"), ("crm", "2"), ("web", "1"))
TIMES = ("2013-07-16T19:20:50+01:00", "2026-01-05", "2026-11-20 10:00:00", "2999-01-01T00:00:00Z")
SUBSCRIPTIONS = ("opted_in", "subscribed", "unsubscribed")

_identifiers = st.one_of(
    st.sampled_from(EXTERNAL_IDS).map(lambda value: {"external_id": value}),
    st.sampled_from(ALIASES).map(lambda pair: {"user_alias": {"alias_label": pair[0], "alias_name": pair[1]}}),
    st.sampled_from(EMAILS).map(lambda value: {"email": value}),
    st.sampled_from(PHONES).map(lambda value: {"phone": value}),
    st.just({"braze_id": "0123456789abcdef01234567"}),
)
_flags: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}), st.booleans().map(lambda value: {"_update_existing_only": value})
)
_custom_values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**62, -(2**63), 0.5, -0.0, 1e16, "gold", "x" * 256, "2026-01-05", {"inc": 3}, {"inc": 2**62}]),
    st.lists(st.sampled_from(["a", "b", "c", 1, True]), max_size=4),
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3).map(lambda values: {"add": values}),
    st.lists(st.sampled_from(["a", "b"]), max_size=3).map(lambda values: {"remove": values}),
    st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from([1, "v", None, {"m": 1.5}]), max_size=2),
    st.just([{"id": 1, "n": "Rex"}, {"id": 2}]),
    st.just({"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"n": "Bo"}}]}),
)
_fields: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "email": st.one_of(st.none(), st.sampled_from(EMAILS)),
        "phone": st.one_of(st.none(), st.sampled_from((*PHONES, "12"))),
        "first_name": st.one_of(st.none(), st.sampled_from(["Ana", "Bo"])),
        "country": st.sampled_from(["ES", "nowhere", None]),
        "email_subscribe": st.sampled_from(SUBSCRIPTIONS),
        "push_subscribe": st.sampled_from(SUBSCRIPTIONS),
        "dob": st.sampled_from(["1990-02-03", "x"]),
        "date_of_last_session": st.sampled_from(TIMES),
        "current_location": st.just({"longitude": 1, "latitude": 2.5}),
        "_merge_objects": st.booleans(),
    },
)
_customs = st.dictionaries(st.sampled_from(["tier", "points", "tags", "home", " padded "]), _custom_values, max_size=3)


def _joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(
        lambda dicts: {name: value for part in reversed(dicts) for name, value in part.items()}
    )


_properties: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.sampled_from([{"a": 1}, {"$url": "x" * 300, "n": None}, {"deep": [{"b": [1.5, True]}], "big": 1e16}]).map(
        lambda value: {"properties": value}
    ),
)
_occurred = st.fixed_dictionaries({"time": st.sampled_from(TIMES)}, optional={"app_id": st.just("app-1")})
attributes = _joined(_identifiers, _flags, _fields, _customs)
events = _joined(
    _identifiers, _flags, _properties, _occurred, st.sampled_from(["open", "close"]).map(lambda name: {"name": name})
)
purchases = _joined(
    _identifiers,
    _flags,
    _properties,
    _occurred,
    st.fixed_dictionaries(
        {
            "product_id": st.sampled_from(["lamp", 12]),
            "currency": st.sampled_from(["USD", "eur"]),
            "price": st.sampled_from([1, 0.005, -3.25, "7.125", 10**12]),
        },
        optional={"quantity": st.sampled_from([1, 2, 100])},
    ),
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "attributes": st.lists(attributes, max_size=4),
        "events": st.lists(events, max_size=3),
        "purchases": st.lists(purchases, max_size=3),
    },
)

# Who is who, about the same few people.

RULES = ("identified", "unidentified", "most_recently_updated", "least_recently_updated")
_ids = st.sampled_from((*EXTERNAL_IDS, "new"))
_user_alias = st.sampled_from((*ALIASES, ("web", "2"))).map(
    lambda pair: {"alias_label": pair[0], "alias_name": pair[1]}
)
_rules = st.one_of(
    st.sampled_from(RULES).map(lambda rule: [rule]),
    st.tuples(st.sampled_from(RULES[:2]), st.sampled_from(RULES[2:])).map(list),
    st.tuples(st.sampled_from(RULES[2:]), st.sampled_from(RULES[:2])).map(list),
)
_by_email = st.fixed_dictionaries({"email": st.sampled_from(EMAILS), "prioritization": _rules})
_by_phone = st.fixed_dictionaries({"phone": st.sampled_from(PHONES), "prioritization": _rules})
_who = st.one_of(
    st.fixed_dictionaries({"external_id": _ids}),
    st.fixed_dictionaries({"user_alias": _user_alias}),
    _by_email,
    _by_phone,
)


def _some(element: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(element, min_size=1, max_size=most)


_identified = st.fixed_dictionaries({"external_id": _ids})
identify = st.fixed_dictionaries(
    {
        "aliases_to_identify": _some(st.fixed_dictionaries({"external_id": _ids, "user_alias": _user_alias})),
    },
    optional={
        "emails_to_identify": _some(_joined(_identified, _by_email)),
        "phone_numbers_to_identify": _some(_joined(_identified, _by_phone)),
        "merge_behavior": st.sampled_from(["merge", "none"]),
    },
)
merge = _some(st.fixed_dictionaries({"identifier_to_merge": _who, "identifier_to_keep": _who})).map(
    lambda pairs: {"merge_updates": pairs}
)
new_aliases = _some(
    _joined(st.one_of(_identified, st.just({})), st.fixed_dictionaries({"user_alias": _user_alias}))
).map(lambda entries: {"user_aliases": entries})
alias_updates = _some(
    st.tuples(st.sampled_from(["crm", "web"]), st.sampled_from("123"), st.sampled_from("123")).map(
        lambda three: {"alias_label": three[0], "old_alias_name": three[1], "new_alias_name": three[2]}
    )
).map(lambda entries: {"alias_updates": entries})
deletes = st.one_of(
    _some(_ids, 2).map(lambda ids: {"external_ids": ids}),
    _some(_user_alias, 2).map(lambda found: {"user_aliases": found}),
    _some(_by_email, 2).map(lambda found: {"email_addresses": found}),
    _some(_by_phone, 2).map(lambda found: {"phone_numbers": found}),
)
renames = _some(st.tuples(_ids, _ids).map(lambda two: {"current_external_id": two[0], "new_external_id": two[1]})).map(
    lambda entries: {"external_id_renames": entries}
)
removals = _some(_ids).map(lambda ids: {"external_ids": ids})

#: (path, body) of any request that writes.
requests: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    bodies.map(lambda body: ("/users/track", body)),
    bodies.map(lambda body: ("/users/track", body)),
    identify.map(lambda body: ("/users/identify", body)),
    merge.map(lambda body: ("/users/merge", body)),
    new_aliases.map(lambda body: ("/users/alias/new", body)),
    alias_updates.map(lambda body: ("/users/alias/update", body)),
    deletes.map(lambda body: ("/users/delete", body)),
    renames.map(lambda body: ("/users/external_ids/rename", body)),
    removals.map(lambda body: ("/users/external_ids/remove", body)),
)
