"""The payloads printed in the five source documents, typed off as they stand there, sent and compared whole."""

from typing import Final

import pytest

from app.domain.profile import CHANNEL_EMAIL
from tests.api.harness import Json, Service, Workspace, profile_of, summary

PARSE_ERROR: Final = "Error while parsing request body. Please check your syntax."
NO_VALID_DATA: Final = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."

#: "Actualizar un perfil de usuario por correo electrónico"
BY_EMAIL: Final = b"""{
    "attributes": [
        {
            "email": "test@braze.com",
            "string_attribute": "fruit",
            "boolean_attribute_1": true,
            "integer_attribute": 26,
            "array_attribute": [
                "banana",
                "apple"
            ]
        }
    ],
    "events": [
        {
            "email": "test@braze.com",
            "app_id": "your_app_identifier",
            "name": "rented_movie",
            "time": "2022-12-06T19:20:45+01:00",
            "properties": {
                "release": {
                    "studio": "FilmStudio",
                    "year": "2022"
                },
                "cast": [
                    {
                        "name": "Actor1"
                    },
                    {
                        "name": "Actor2"
                    }
                ]
            }
        },
        {
            "user_alias": {
                "alias_name": "device123",
                "alias_label": "my_device_identifier"
            },
            "app_id": "your_app_identifier",
            "name": "rented_movie",
            "time": "2013-07-16T19:20:50+01:00"
        }
    ],
    "purchases": [
        {
            "email": "test@braze.com",
            "app_id": "your_app_identifier",
            "product_id": "product_name",
            "currency": "USD",
            "price": 12.12,
            "quantity": 6,
            "time": "2017-05-12T18:47:12Z",
            "properties": {
                "color": "red",
                "monogram": "ABC",
                "checkout_duration": 180,
                "size": "Large",
                "brand": "Backpack Locker"
            }
        }
    ]
}"""

#: "Actualizar un perfil de usuario por número de teléfono": with the comma that makes it no JSON.
BY_PHONE: Final = b"""{
    "attributes": [
        {
            "phone": "+15043277269",
            "string_attribute": "fruit",
            "boolean_attribute_1": true,
            "integer_attribute": 25,
            "array_attribute": [
                "banana",
                "apple"
            ]
        }
    ],
}"""

#: "Configurar grupos de suscripción"
GROUPS: Final = b"""{
  "attributes": [
  {
    "external_id": "user_identifier",
    "email": "example@email.com",
    "email_subscribe": "subscribed",
    "subscription_groups": [{
      "subscription_group_id": "subscription_group_identifier_1",
      "subscription_state": "unsubscribed"
      },
      {
        "subscription_group_id": "subscription_group_identifier_2",
        "subscription_state": "subscribed"
        },
        {
          "subscription_group_id": "subscription_group_identifier_3",
          "subscription_state": "subscribed"
        }
      ]
    }
  ]
}"""

#: "crear un usuario sólo con alias": with a second brace and a comma too many.
ALIAS_ONLY: Final = b"""{
{
    "attributes": [
        {
            "_update_existing_only": false,
            "user_alias": {
                "alias_name": "example_name",
                "alias_label": "example_label"
            },
            "email": "email@example.com"
        }
    ],
}"""

#: The form of the request: words where values belong.
REQUEST_FORM: Final = b"""{
  "attributes": (optional, array of attributes object),
  "events": (optional, array of event object),
  "purchases": (optional, array of purchase object),
}"""

#: The checkout sample; the Spanish, English and French documents print the same lines.
CHECKOUT: Final = b"""{
    "purchase":[
        {
            "user_alias": {"alias_name": "Joedoe", "alias_label": "full_name"},
            "app_id": "11dk3k9d-2183-3948-k02b-kw3938109k12od",
            "product_id": "jacket",
            "currency": "USD",
            "price": 80.00,
            "time": "2025-01-05T19:20:30+01:00",
            "properties": {
                "color": "brown",
                "monogram": "ABC",
                "checkout_duration": 180,
                "size": "Small",
                "brand": "Natural Essence"
            }
        }
    ]
}"""

ALIAS: Final = {"alias_name": "Joedoe", "alias_label": "full_name"}
FRUIT: Final = {"string_attribute": "fruit", "boolean_attribute_1": True, "array_attribute": ["banana", "apple"]}


@pytest.fixture
def default(service: Service) -> Workspace:
    """On the plan that the source document describes."""
    return service.workspace()


def by_email(**fields: object) -> Json:
    return profile_of(
        email="test@braze.com",
        custom_attributes=FRUIT | {"integer_attribute": 26},
        **{"total_revenue": 72.72, **fields},
    )


def test_by_email(default: Workspace) -> None:
    answer = default.track(BY_EMAIL)
    assert answer.status == 201
    assert answer.body == {
        "attributes_processed": 1,
        "events_processed": 2,
        "purchases_processed": 1,
        "message": "success",
    }
    # What the export shows: the summaries are older than its window of 90 days.
    (user,) = default.export(email_address="test@braze.com")
    assert default.stored() == [
        by_email(
            custom_events=[summary("rented_movie", "2022-12-06T18:20:45.000Z")],
            purchases=[summary("product_name", "2017-05-12T18:47:12.000Z", count=6)],
        )
    ]
    assert user.items() >= by_email().items()
    assert user.keys() == {*by_email(), "braze_id", "appboy_id", "created_at", "random_bucket"}
    # The event for an alias that nobody has: counted, and dropped for a reason that can be asked for.
    assert default.skipped(answer.request_id) == [("events", 1, "", "profile_not_found")]


def test_by_email_sent_again(default: Workspace) -> None:
    """No two submissions are the same one: everything that counts counts twice, and there is one profile."""
    default.track(BY_EMAIL)
    assert default.track(BY_EMAIL).status == 201
    assert default.stored() == [
        by_email(
            custom_events=[summary("rented_movie", "2022-12-06T18:20:45.000Z", count=2)],
            purchases=[summary("product_name", "2017-05-12T18:47:12.000Z", count=12)],
            total_revenue=145.44,
        )
    ]


def test_by_email_with_the_alias_known(default: Workspace) -> None:
    alias = {"alias_name": "device123", "alias_label": "my_device_identifier"}
    default.track({"attributes": [{"user_alias": alias, "_update_existing_only": False}]})
    answer = default.track(BY_EMAIL)
    assert default.skipped(answer.request_id) == []
    (aliased, _) = default.stored()
    assert aliased == profile_of(
        user_aliases=[alias], custom_events=[summary("rented_movie", "2013-07-16T18:20:50.000Z")]
    )


def test_groups_that_do_not_exist(default: Workspace) -> None:
    answer = default.track(GROUPS)
    assert answer.status == 400
    assert answer.message == NO_VALID_DATA
    assert answer.errors == [("attributes", 0)]
    assert answer.body["errors"][0]["code"] == "BAD_SUBSCRIPTION_GROUP_ID"
    assert answer.counts == {}
    assert default.stored() == []


def test_groups_that_exist(default: Workspace) -> None:
    states = {1: "unsubscribed", 2: "subscribed", 3: "subscribed"}
    for n in states:
        group = {"id": f"subscription_group_identifier_{n}", "name": f"Group {n}", "channel": "email"}
        assert default.post("/v1/subscription_groups", group).status == 201
    assert default.track(GROUPS).body == {"attributes_processed": 1, "message": "success"}
    recorded = default.state().topics(CHANNEL_EMAIL, "example@email.com")
    assert {topic: found.state for topic, found in recorded.items()} == {
        "": "subscribed",
        **{f"subscription_group_identifier_{n}": state for n, state in states.items()},
    }


INVALID: Final = {
    "phone, trailing comma": BY_PHONE,
    "alias, second brace": ALIAS_ONLY,
    "form of the request": REQUEST_FORM,
    "e-mail placeholder": BY_EMAIL.replace(b'"test@braze.com"', b"[email protected]"),
    "missing comma": BY_EMAIL.replace(b'],\n    "events"', b']\n    "events"'),
}


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID)
def test_what_is_no_json(default: Workspace, body: bytes) -> None:
    answer = default.track(body)
    assert answer.status == 400
    assert answer.body == {"message": PARSE_ERROR, "error": PARSE_ERROR}
    assert default.stored() == []


def test_by_phone_mended(default: Workspace) -> None:
    answer = default.track(BY_PHONE.replace(b"],\n}", b"]\n}"))
    assert answer.status == 201
    assert answer.body == {"attributes_processed": 1, "message": "success"}
    expected = profile_of(phone="+15043277269", custom_attributes=FRUIT | {"integer_attribute": 25})
    assert default.stored() == [expected]
    (user,) = default.export(phone="+1 (504) 327-7269")
    assert user.items() >= expected.items()


def test_alias_only_mended(default: Workspace) -> None:
    answer = default.track(ALIAS_ONLY.removeprefix(b"{\n").replace(b"],\n}", b"]\n}"))
    assert answer.status == 201
    assert answer.body == {"attributes_processed": 1, "message": "success"}
    alias = {"alias_name": "example_name", "alias_label": "example_label"}
    assert default.stored() == [profile_of(user_aliases=[alias], email="email@example.com")]
    (user,) = default.export(user_aliases=[alias])
    assert user["email"] == "email@example.com"


@pytest.mark.parametrize("language", ["es", "en", "fr"])
def test_checkout(default: Workspace, language: str) -> None:
    answer = default.track(CHECKOUT)
    assert answer.status == 201
    assert answer.body == {"purchases_processed": 1, "message": "success"}
    assert default.stored() == []
    assert default.skipped(answer.request_id) == [("purchases", 0, "", "profile_not_found")]


@pytest.mark.parametrize("language", ["es", "en", "fr"])
def test_checkout_with_autocreate(default: Workspace, language: str) -> None:
    default.change(alias_autocreate_on_purchase=True)
    answer = default.track(CHECKOUT)
    assert answer.status == 201
    assert answer.body == {"purchases_processed": 1, "message": "success"}
    assert default.stored() == [
        profile_of(
            user_aliases=[ALIAS],
            purchases=[summary("jacket", "2025-01-05T18:20:30.000Z")],
            total_revenue=80.0,
        )
    ]
    (user,) = default.export(user_aliases=[ALIAS])
    assert user["total_revenue"] == 80.0
    assert default.skipped(answer.request_id) == []


def test_checkout_with_the_flag(default: Workspace) -> None:
    """What the text around the sample describes, with the flag that the other document asks for."""
    answer = default.track(CHECKOUT.replace(b'"app_id"', b'"_update_existing_only": false, "app_id"'))
    assert answer.counts == {"purchases": 1}
    assert [user["user_aliases"] for user in default.stored()] == [[ALIAS]]


def test_fifty_updates_combined(default: Workspace) -> None:
    """ "Cada solicitud puede contener hasta 50 actualizaciones combinadas"."""
    event = {"external_id": "a", "name": "e", "time": "2026-01-01T00:00:00Z"}
    attributes = [{"external_id": "a", "n": {"inc": 1}}] * 25
    assert default.track({"attributes": attributes, "events": [event] * 25}).status == 201
    refused = default.track({"attributes": attributes, "events": [event] * 26})
    assert (refused.status, refused.body) == (400, {"message": "Max Input Length Exceeded"})
    (user,) = default.stored()
    assert user["custom_attributes"] == {"n": 25}
    assert user["custom_events"][0]["count"] == 25


def test_several_profiles_with_one_email(default: Workspace) -> None:
    """ "Si existe external_id, el perfil actualizado más recientemente con un ID externo tendrá prioridad"."""
    email = "shared@example.org"
    for external_id in ("old", "new"):
        default.track({"attributes": [{"external_id": external_id, "email": email}]})
    alias = {"alias_name": "n", "alias_label": "l"}
    default.track({"attributes": [{"user_alias": alias, "email": email, "_update_existing_only": False}]})
    default.track({"attributes": [{"email": email, "hit": 1}]})
    assert [user.get("custom_attributes") for user in default.stored()] == [None, {"hit": 1}, None]
    default.track({"attributes": [{"external_id": "old", "touched": True}]})
    default.track({"attributes": [{"email": email, "hit": 2}]})
    assert [user.get("custom_attributes", {}).get("hit") for user in default.stored()] == [2, 1, None]
