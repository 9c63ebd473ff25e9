"""Rates of exchange: what is in force, fixed rates, booking what had none. Endpoints of our own."""

from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, posting, waiting
from app.api.rates.models import Booked, Booking, Rates, RatesChange
from app.contract import rates as contract
from app.services.accepting.acceptor import IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.rates"

_SHOW: Final = Documentation(
    title="Rates that are in force",
    tag="Rates",
    text="The last day of the reference rates, and fixed rates, which go before them.",
    answers={200: Rates},
)
_CHANGE: Final = Documentation(
    title="Change fixed rates",
    tag="Rates",
    text="For everything accepted after it. Rates that are not named stay; null takes one away.",
    body=RatesChange,
    example={"rates": [{"currency": "BTC", "usd": "97000.5", "from": "2026-01-01"}]},
    answers={200: Rates},
    idempotent=True,
)
_BOOK: Final = Documentation(
    title="Book what had no rate",
    tag="Rates",
    text="Revenue that had no rate when it came counts at today's, if there is one now. Applied on the bulk stream.",
    body=Booking,
    example={},
    answers={201: Booked},
)


def endpoints(services: Services) -> list[Endpoint]:
    rates = services.rates

    async def show(caller: Caller, _request: Request) -> Answer:
        return answered(200, contract.listing(await rates.show(caller)))

    async def change(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Answer:
        decided = await rates.change(caller, contract.read_change(body), key)
        return answered(200, contract.listing(decided.settings), decided.request_id)

    async def book(caller: Caller, body: bytes) -> Answer:
        queued, last = await rates.book(caller, contract.read_cursor(body))
        return answered(201, {"queued": queued} if last is None else {"queued": queued, "next_cursor": str(last)})

    return [
        Endpoint("GET", "/v1/rates", PERMISSION, "default", show, _SHOW),
        Endpoint("PUT", "/v1/rates", PERMISSION, "default", waiting(services, change), _CHANGE),
        Endpoint("POST", "/v1/rates/book", PERMISSION, "default", posting(services, book), _BOOK),
    ]
