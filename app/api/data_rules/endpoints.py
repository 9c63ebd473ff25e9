"""Names of attributes, events and products: how often they were written, and what is decided about them. Our own."""

from typing import Annotated, Any, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.data_rules.models import (
    AttributeDecided,
    AttributeRule,
    Attributes,
    EventRule,
    Events,
    NameDecided,
    Products,
)
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, waiting
from app.contract import data_rules as contract
from app.contract.data_rules import ATTRIBUTES, EVENTS, MAX_PAGE, PRODUCTS, Family, read_page, read_rule
from app.services.accepting.acceptor import IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

_PARAMETERS: Final = (
    Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_PAGE)], "Names in a page; 50 by default."),
    Parameter("cursor", "query", str, "`next_cursor` of the page before."),
)
_COUNTS: Final = "In alphabetical order. Counts are of what was applied, and nothing that happens later lowers them: "


def _listed(noun: str, counts: str, answer: Any) -> Documentation:
    return Documentation(
        title=f"List {noun}",
        tag="Data rules",
        text=_COUNTS + counts,
        answers={200: answer},
        parameters=_PARAMETERS,
    )


def _decided(noun: str, text: str, body: Any, example: Any, answer: Any) -> Documentation:
    return Documentation(
        title=f"Decide about {noun}",
        tag="Data rules",
        text=text + " In force for everything accepted after it; null or false takes a decision back.",
        body=body,
        example=example,
        answers={201: answer},
        idempotent=True,
    )


_FAMILIES: Final = (
    (
        ATTRIBUTES,
        "/v1/attributes",
        "admin.attributes",
        _listed("attributes", "by type, how often an attribute got another value.", Attributes),
        _decided(
            "an attribute",
            "Force its type, set the maximum of its arrays, or block it: then writes of it have no effect.",
            AttributeRule,
            {"name": "tier", "type": "string"},
            AttributeDecided,
        ),
    ),
    (
        EVENTS,
        "/v1/events",
        "admin.events",
        _listed("events", "how often an event occurred.", Events),
        _decided(
            "an event", "Block it: it is accepted and dropped.", EventRule, {"name": "x", "blocked": True}, NameDecided
        ),
    ),
    (
        PRODUCTS,
        "/v1/products",
        "admin.events",
        _listed("products", "how many pieces were bought.", Products),
        _decided(
            "a product",
            "Block it: purchases of it are accepted and dropped.",
            EventRule,
            {"name": "x", "blocked": True},
            NameDecided,
        ),
    ),
)


def endpoints(services: Services) -> list[Endpoint]:
    rules = services.data_rules

    def lists(family: Family) -> Any:
        async def listed(caller: Caller, request: Request) -> Answer:
            page = read_page(request.query_params)
            names = await rules.listed(caller, family, page)
            return answered(200, contract.listing(family, names.counts, names.settings, page))

        return listed

    def decides(family: Family) -> Any:
        async def decided(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Answer:
            name, rule = read_rule(family, body)
            decision = await rules.decide(caller, family, name, rule, key)
            shown = contract.entry(family, name, {}, decision.settings)
            shown.pop("types", None)
            shown.pop("count", None)
            return answered(201, shown, decision.request_id)

        return waiting(services, decided)

    found = []
    for family, path, permission, listed, decided in _FAMILIES:
        found.append(Endpoint("GET", path, permission, "default", lists(family), listed))
        found.append(Endpoint("POST", path, permission, "default", decides(family), decided))
    return found
