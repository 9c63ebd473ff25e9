"""The contract's lists of names. They share one limit (spec limits-and-errors.md 1)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.catalogue.models import AttributeList, EventList, EventNames, ProductNames
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.contract import catalogue as contract
from app.contract.catalogue import NAMES_PAGE, PAGE, Names
from app.domain.profile import NAME_ATTRIBUTE, NAME_EVENT, NAME_PRODUCT
from app.services.caller import Caller
from app.services.registry import Services

_GROUP: Final = "catalogue"
_STALE: Final = {"X-Onefold-Stale": "`true` when some of what was accepted before is not applied yet."}
_LINK: Final = {"Link": 'Where the next page is, with `rel="next"`; none on the last one.'}


def _numbered(noun: str, text: str, answer: Any) -> Documentation:
    return Documentation(
        title=f"List the names of {noun}",
        tag="Analytics",
        text=f"{text}, in alphabetical order, {PAGE} in a page.",
        answers={200: answer},
        parameters=(Parameter("page", "query", str, "From 0, the default."),),
        headers=_STALE,
    )


def _linked(noun: str, text: str, answer: Any) -> Documentation:
    return Documentation(
        title=f"List {noun}",
        tag="Analytics",
        text=f"{text}, in alphabetical order, {NAMES_PAGE} in a page.",
        answers={200: answer},
        parameters=(Parameter("cursor", "query", str, "That of the `Link` header of the page before."),),
        headers=_STALE | _LINK,
    )


_EVENT_NAMES: Final = _numbered("custom events", "Custom events that ever occurred", EventNames)
_PRODUCT_NAMES: Final = _numbered("products", "Products that were ever bought", ProductNames)
_EVENTS: Final = _linked("custom events", "Custom events that ever occurred, and whether they are blocked", EventList)
_ATTRIBUTES: Final = _linked(
    "custom attributes", "Custom attributes that were ever written, with their types", AttributeList
)


def endpoints(services: Services) -> list[Endpoint]:
    catalogue = services.catalogue

    def numbered(kind: int, member: str) -> Any:
        async def listed(caller: Caller, request: Request) -> Answer:
            found = await catalogue.numbered(caller, kind, contract.read_page(request.query_params))
            return answered(200, {member: found.value}, stale=found.stale)

        return listed

    def linked(kind: int, path: str, shown: Callable[[Names], dict[str, object]]) -> Any:
        async def listed(caller: Caller, request: Request) -> Answer:
            found = await catalogue.behind(caller, kind, contract.read_cursor(request.query_params))
            answer = answered(200, shown(found.value), stale=found.stale)
            link = contract.link(path, found.value)
            return answer if link is None else replace(answer, headers=(*answer.headers, ("Link", link)))

        return listed

    events, products = numbered(NAME_EVENT, "events"), numbered(NAME_PRODUCT, "products")
    all_events = linked(NAME_EVENT, "/events", contract.events)
    attributes = linked(NAME_ATTRIBUTE, "/custom_attributes", contract.attributes)
    return [
        Endpoint("GET", "/events/list", "events.list", _GROUP, events, _EVENT_NAMES),
        Endpoint("GET", "/events", "events.get", _GROUP, all_events, _EVENTS),
        Endpoint("GET", "/custom_attributes", "custom_attributes.get", _GROUP, attributes, _ATTRIBUTES),
        Endpoint("GET", "/purchases/product_list", "purchases.product_list", _GROUP, products, _PRODUCT_NAMES),
    ]
