"""Objects of `/users/track` that are refused, with message and field; and texts that mean something elsewhere."""

from enum import Enum
from typing import Any, Final

from tests.api.harness import Json

T: Final = "2026-02-10T09:15:00Z"


EVENT: Final[Json] = {"external_id": "x", "name": "e", "time": T}


PURCHASE: Final[Json] = {"external_id": "x", "product_id": "p", "currency": "USD", "price": 1, "time": T}


REQUIRED: Final = "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"


ONLY_ONE: Final = "You must specify only one of 'external_id', 'user_alias' or 'braze_id'"


BAD_EMAIL: Final = "The value provided for the 'email' field is not a valid email."


BAD_PHONE: Final = "The value provided for the 'phone' field is not a valid phone number."


BAD_ALIAS: Final = "'user_alias' must have 'alias_name' and 'alias_label'"


TOO_LONG: Final = "'external_id' must be fewer than 988 bytes"


BAD_PROPERTIES: Final = "Invalid 'properties' field"


class Gone(Enum):
    """A member that is left out."""

    GONE = "gone"


GONE: Final = Gone.GONE


def with_(base: Json, **changes: object) -> Json:
    return {name: value for name, value in (base | changes).items() if value is not GONE}


def alias(name: object = "n", label: object = "l", **more: object) -> Json:
    return with_({"alias_name": name, "alias_label": label, **more})


Refused = tuple[str, Any, str, str]


REFUSED: Final[dict[str, Refused]] = {
    "58 null": ("attributes", None, "must be an object", ""),
    "58 number": ("events", 1, "must be an object", ""),
    "58 array": ("purchases", [PURCHASE], "must be an object", ""),
    "58 text": ("attributes", "x", "must be an object", ""),
    "61 nothing": ("attributes", {}, REQUIRED, ""),
    "61 nothing but fields": ("attributes", {"first_name": "x", "k": 1}, REQUIRED, ""),
    "61 event": ("events", with_(EVENT, external_id=GONE), REQUIRED, ""),
    "61 all absent": (
        "attributes",
        {"external_id": None, "braze_id": "", "user_alias": None, "email": None, "phone": ""},
        REQUIRED,
        "",
    ),
    "61 empty everywhere": ("purchases", with_(PURCHASE, external_id=""), REQUIRED, ""),
    "62 two": ("attributes", {"external_id": "x", "braze_id": "y"}, ONLY_ONE, ""),
    "62 id and alias": ("events", with_(EVENT, user_alias=alias()), ONLY_ONE, ""),
    "62 three": ("attributes", {"external_id": "x", "braze_id": "y", "user_alias": alias()}, ONLY_ONE, ""),
    "62 id and no alias": ("attributes", {"external_id": "x", "user_alias": "n"}, BAD_ALIAS, ""),
    "62 id and half an alias": ("events", with_(EVENT, user_alias=alias(label=GONE)), BAD_ALIAS, ""),
    "62 braze_id and a blank alias": ("attributes", {"braze_id": "x", "user_alias": alias(" ")}, BAD_ALIAS, ""),
    "63 blank": ("attributes", {"external_id": "  \t"}, "'external_id' must be a non-empty string", ""),
    "63 no-break blank": (
        "events",
        with_(EVENT, external_id="\u00a0\u2003"),
        "'external_id' must be a non-empty string. 'external_id' has the invisible character U+00A0 (NO-BREAK SPACE).",
        "",
    ),
    "63 988 bytes": ("attributes", {"external_id": "a" * 988}, TOO_LONG, "EXTERNAL_USER_ID_TOO_LARGE"),
    "63 988 bytes of é": ("attributes", {"external_id": "é" * 494}, TOO_LONG, "EXTERNAL_USER_ID_TOO_LARGE"),
    "63 1 MB": ("events", with_(EVENT, external_id="a" * 1_000_000), TOO_LONG, "EXTERNAL_USER_ID_TOO_LARGE"),
    "64 true": ("attributes", {"external_id": True}, "'external_id' must be a non-empty string", ""),
    "64 false": ("attributes", {"external_id": False}, "'external_id' must be a non-empty string", ""),
    "64 array": ("attributes", {"external_id": ["x"]}, "'external_id' must be a non-empty string", ""),
    "64 object": ("attributes", {"external_id": {"$gt": ""}}, "'external_id' must be a non-empty string", ""),
    "65 no label": ("attributes", {"user_alias": alias(label=GONE)}, BAD_ALIAS, ""),
    "65 no name": ("attributes", {"user_alias": alias(name=GONE)}, BAD_ALIAS, ""),
    "65 empty name": ("attributes", {"user_alias": alias("")}, BAD_ALIAS, ""),
    "65 blank label": ("events", with_(EVENT, external_id=GONE, user_alias=alias(label=" ")), BAD_ALIAS, ""),
    "65 empty object": ("attributes", {"user_alias": {}}, BAD_ALIAS, ""),
    "65 text": ("attributes", {"user_alias": "n"}, BAD_ALIAS, ""),
    "65 array": ("attributes", {"user_alias": [alias()]}, BAD_ALIAS, ""),
    "65 true": ("attributes", {"user_alias": alias(name=True)}, BAD_ALIAS, ""),
    "65 237 bytes": (
        "attributes",
        {"user_alias": alias("a" * 237)},
        "'alias_name' and 'alias_label' must be at most 236 bytes each",
        "",
    ),
    "braze_id array": ("attributes", {"braze_id": ["x"]}, "'braze_id' must be a string", ""),
    "66 no @": ("attributes", {"email": "x.example.org"}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 two @": ("attributes", {"external_id": "x", "email": "a@b@example.org"}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 empty": ("attributes", {"external_id": "x", "email": ""}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 blank": ("attributes", {"external_id": "x", "email": " "}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 255": (
        "attributes",
        {"email": "a" * 64 + "@" + ".".join(["b" * 60] * 3) + ".example.org"},
        BAD_EMAIL,
        "EMAIL_BAD_FORMAT",
    ),
    "66 quoted": ("attributes", {"email": '"a b"@example.org'}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 dots alone": ("attributes", {"email": "..@example.org"}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 no top level": ("events", with_(EVENT, external_id=GONE, email="a@localhost"), BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 line break": (
        "attributes",
        {"email": "a@example.org\nBcc: b@example.org"},
        f"{BAD_EMAIL} 'email' has the invisible character U+000A.",
        "EMAIL_BAD_FORMAT",
    ),
    "66 number": ("attributes", {"external_id": "x", "email": 5}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "66 object": ("attributes", {"email": {"a": 1}}, BAD_EMAIL, "EMAIL_BAD_FORMAT"),
    "67 letters": ("attributes", {"phone": "call me"}, BAD_PHONE, ""),
    "67 too long": ("attributes", {"phone": "+1504327726912345678"}, BAD_PHONE, ""),
    "67 no plus, foreign": ("purchases", with_(PURCHASE, external_id=GONE, phone="351912345678"), BAD_PHONE, ""),
    "67 bad area code": ("attributes", {"phone": "0000000000"}, BAD_PHONE, ""),
    "67 array": ("attributes", {"phone": ["+15043277269"]}, BAD_PHONE, ""),
    "70 email_subscribe": (
        "attributes",
        {"external_id": "x", "email_subscribe": "Subscribed"},
        "'email_subscribe' must be 'subscribed', 'unsubscribed', or 'opted_in'",
        "BAD_EMAIL_SUBSCRIPTION_STATE",
    ),
    "70 push_subscribe": (
        "attributes",
        {"external_id": "x", "push_subscribe": ["subscribed"]},
        "'push_subscribe' must be 'subscribed', 'unsubscribed', or 'opted_in'",
        "BAD_PUSH_SUBSCRIPTION_STATE",
    ),
    "70 current_location text": (
        "attributes",
        {"external_id": "x", "current_location": "Faro"},
        "'current_location' must be an object with 'longitude' and 'latitude'",
        "BAD_LOCATION_UPDATE",
    ),
    "70 current_location half": (
        "attributes",
        {"external_id": "x", "current_location": {"longitude": 1}},
        "'current_location' must be an object with 'longitude' and 'latitude'",
        "BAD_LOCATION_UPDATE",
    ),
    "70 current_location as text": (
        "attributes",
        {"external_id": "x", "current_location": {"longitude": "1", "latitude": "2"}},
        "'current_location' must be an object with 'longitude' and 'latitude'",
        "BAD_LOCATION_UPDATE",
    ),
    "70 email_subscription_info": (
        "attributes",
        {"external_id": "x", "email_subscription_info": None},
        "'email_subscription_info' is not a valid attribute",
        "INVALID_ATTRIBUTE_EMAIL_SUBSCRIPTION_INFO",
    ),
    "74 missing": ("events", with_(EVENT, time=GONE), "'time' is required", ""),
    "74 null": ("purchases", with_(PURCHASE, time=None), "'time' is required", ""),
    "74 empty": ("events", with_(EVENT, time=""), "'time' is not valid", ""),
    "74 number": ("events", with_(EVENT, time=1770714900), "'time' is not valid", ""),
    "74 epoch as text": ("events", with_(EVENT, time="1770714900"), "'time' is not valid", ""),
    "74 2^31": ("events", with_(EVENT, time=2**31), "'time' is not valid", ""),
    "74 object": ("purchases", with_(PURCHASE, time={"$time": T}), "'time' is not valid", ""),
    "74 year 0": ("events", with_(EVENT, time="0000-01-01T00:00:00Z"), "'time' is not valid", ""),
    "74 year 10000": ("events", with_(EVENT, time="10000-01-01T00:00:00Z"), "'time' is not valid", ""),
    "74 30 February": ("events", with_(EVENT, time="2024-02-30"), "'time' is not valid", ""),
    "74 leap second elsewhere": ("events", with_(EVENT, time="2016-12-31T12:59:60Z"), "'time' is not valid", ""),
    "74 text behind": ("purchases", with_(PURCHASE, time=T + " or 1=1"), "'time' is not valid", ""),
    "75 price missing": ("purchases", with_(PURCHASE, price=GONE), "'price' is not valid", ""),
    "75 price null": ("purchases", with_(PURCHASE, price=None), "'price' is not valid", ""),
    "75 price NaN": ("purchases", with_(PURCHASE, price="NaN"), "'price' is not valid", ""),
    "75 price Infinity": ("purchases", with_(PURCHASE, price="-Infinity"), "'price' is not valid", ""),
    "75 price with sign": ("purchases", with_(PURCHASE, price="$5"), "'price' is not valid", ""),
    "75 price 1e30": ("purchases", with_(PURCHASE, price=1e30), "'price' is not valid", ""),
    "75 price '1e30'": ("purchases", with_(PURCHASE, price="1e30"), "'price' is not valid", ""),
    "75 price true": ("purchases", with_(PURCHASE, price=True), "'price' is not valid", ""),
    "75 price over": ("purchases", with_(PURCHASE, price=10**12 + 1), "'price' is not valid", ""),
    "75 price long": ("purchases", with_(PURCHASE, price="0" * 10_000), "'price' is not valid", ""),
    "75 price Arabic": ("purchases", with_(PURCHASE, price="\u0661\u0662"), "'price' is not valid", ""),
    "75 quantity 0": ("purchases", with_(PURCHASE, quantity=0), "'quantity' is not valid", ""),
    "75 quantity -1": ("purchases", with_(PURCHASE, quantity=-1), "'quantity' is not valid", ""),
    "75 quantity 101": ("purchases", with_(PURCHASE, quantity=101), "'quantity' is not valid", ""),
    "75 quantity 1.5": ("purchases", with_(PURCHASE, quantity=1.5), "'quantity' is not valid", ""),
    "75 quantity '3'": ("purchases", with_(PURCHASE, quantity="3"), "'quantity' is not valid", ""),
    "75 quantity true": ("purchases", with_(PURCHASE, quantity=True), "'quantity' is not valid", ""),
    "75 currency ABC": ("purchases", with_(PURCHASE, currency="ABC"), "'currency' is not valid", ""),
    "75 currency null": ("purchases", with_(PURCHASE, currency=None), "'currency' is not valid", ""),
    "75 currency number": ("purchases", with_(PURCHASE, currency=840), "'currency' is not valid", ""),
    "75 currency symbol": ("purchases", with_(PURCHASE, currency="€"), "'currency' is not valid", ""),
    "75 no product": ("purchases", with_(PURCHASE, product_id=GONE), "'product_id' is required", ""),
    "75 empty product": ("purchases", with_(PURCHASE, product_id=" "), "'product_id' is required", ""),
    "75 product 256": ("purchases", with_(PURCHASE, product_id="p" * 256), "'product_id' is not valid", ""),
    "75 product true": ("purchases", with_(PURCHASE, product_id=True), "'product_id' is not valid", ""),
    "76 no name": ("events", with_(EVENT, name=GONE), "'name' is required", ""),
    "76 empty": ("events", with_(EVENT, name=""), "'name' is required", ""),
    "76 blank": ("events", with_(EVENT, name=" \n"), "'name' is required", ""),
    "76 256": ("events", with_(EVENT, name="e" * 256), "'name' is not valid", ""),
    "76 array": ("events", with_(EVENT, name=["e"]), "'name' is not valid", ""),
    "properties array": ("events", with_(EVENT, properties=[1]), BAD_PROPERTIES, ""),
    "properties text": ("events", with_(EVENT, properties="{}"), BAD_PROPERTIES, ""),
    "properties nameless": ("events", with_(EVENT, properties={"": 1}), BAD_PROPERTIES, ""),
    "properties long name": ("events", with_(EVENT, properties={"p" * 256: 1}), BAD_PROPERTIES, ""),
    "properties 100 KB": ("events", with_(EVENT, properties={"a": ["x" * 200] * 600}), BAD_PROPERTIES, ""),
    "78 groups object": (
        "attributes",
        {"external_id": "x", "subscription_groups": {}},
        "'subscription_groups' must be an array",
        "BAD_SUBSCRIPTION_GROUP_ARRAY",
    ),
    "78 groups element": (
        "attributes",
        {"external_id": "x", "subscription_groups": [{"subscription_group_id": "g"}]},
        "'subscription_groups' entries must have 'subscription_group_id' and 'subscription_state'",
        "BAD_SUBSCRIPTION_GROUP_HASH",
    ),
    "78 groups state": (
        "attributes",
        {"external_id": "x", "subscription_groups": [{"subscription_group_id": "g", "subscription_state": "maybe"}]},
        "'subscription_state' is not valid",
        "BAD_SUBSCRIPTION_GROUP_STATE",
    ),
    "78 groups id": (
        "attributes",
        {
            "external_id": "x",
            "subscription_groups": [{"subscription_group_id": "g", "subscription_state": "subscribed"}],
        },
        "'subscription_group_id' is not a valid subscription group",
        "BAD_SUBSCRIPTION_GROUP_ID",
    ),
    "79 tokens text": (
        "attributes",
        {"external_id": "x", "push_tokens": "t"},
        "'push_tokens' must be an array of objects",
        "BAD_PUSH_TOKEN_VALUE",
    ),
    "79 tokens of text": (
        "attributes",
        {"external_id": "x", "push_tokens": ["t"]},
        "'push_tokens' must be an array of objects",
        "BAD_PUSH_TOKEN_VALUE",
    ),
    "79 token number": (
        "attributes",
        {"external_id": "x", "push_tokens": [{"app_id": "a", "token": 1}]},
        "push token 'token' must be a string",
        "BAD_PUSH_TOKEN_STRING",
    ),
    "79 device short": (
        "attributes",
        {"external_id": "x", "push_tokens": [{"app_id": "a", "token": "t", "device_id": "short"}]},
        "push token 'device_id' must be between 8 and 255 bytes",
        "BAD_DEVICE_ID",
    ),
    "79 app": (
        "attributes",
        {"external_id": "x", "push_tokens": [{"app_id": "a", "token": "t"}]},
        "push token 'app_id' is not valid",
        "BAD_PUSH_TOKEN_APP_ID",
    ),
    "79 import with an id": (
        "attributes",
        {"external_id": "x", "push_token_import": True, "push_tokens": []},
        "push token import must have a push token and must not have 'external_id' or 'braze_id'",
        "BAD_PUSH_TOKEN_IMPORT",
    ),
    "79 import of nothing": (
        "attributes",
        {"push_token_import": True},
        "push token import must have a push token and must not have 'external_id' or 'braze_id'",
        "BAD_PUSH_TOKEN_IMPORT",
    ),
    "79 import with a braze_id": (
        "attributes",
        {"braze_id": "x", "push_token_import": "true", "push_tokens": [{"app_id": "a", "token": "t"}]},
        "push token import must have a push token and must not have 'external_id' or 'braze_id'",
        "BAD_PUSH_TOKEN_IMPORT",
    ),
    "79 import of a number": (
        "attributes",
        {"push_token_import": True, "push_tokens": [{"app_id": "a", "token": 1}]},
        "push token 'token' must be a string",
        "BAD_PUSH_TOKEN_STRING",
    ),
    "79 import": (
        "attributes",
        {"push_token_import": True, "push_tokens": [{"app_id": "a", "token": "t"}]},
        "push token 'app_id' is not valid",
        "BAD_PUSH_TOKEN_APP_ID",
    ),
}


INJECTIONS: Final = [
    "'; drop table profile; --", '" or ""="', "\\'; select 1; --", "%s%s%n", "{0.__class__}", "%(x)s", ":name",
    "{{7*7}}",
    "${jndi:ldap://x/a}", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "../../etc/passwd", "$(id)", "`id`", "_%",
    "\r\nX-Evil: 1", "null", "NaN", "\\u0000", "a" * 200 + "'",
]  # fmt: skip
