"""Why did my user not change? Who asked for what, what came of it, and what was refused. Endpoints of our own."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.api.request_log import answers
from app.api.request_log.models import Errors, Requests
from app.contract import addresses
from app.contract.request_log import MAX_LIMIT, MAX_TEXT, read_errors_query, read_query
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.requests"

_TEXT: Final = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
_FILTERS: Final = (
    Parameter("key", "query", _TEXT, "Name of the API key, or of the app whose SDK sent it."),
    Parameter("endpoint", "query", _TEXT, "Path of the endpoint of refused ones, or `kind` of accepted ones."),
    Parameter("from", "query", str, "At this time or later."),
    Parameter("to", "query", str, "Before this time."),
)
_FIND: Final = Documentation(
    title="Find requests, by whom they name",
    tag="Requests",
    text="The last one first: accepted ones with what came of them, and refused ones. One of the identifiers may be "
    "given: then those that name it as it was sent, whether or not anybody has it. Addresses are compared as "
    "everywhere. An answer takes at most a second of searching: a page may be short, or empty, and have a "
    "`next_cursor` all the same. Of a refused request the identifiers of its body are kept as hashes, as far as it "
    "could be read.",
    answers={200: Requests},
    parameters=(
        Parameter("external_id", "query", _TEXT, "Whom they name."),
        Parameter("email", "query", _TEXT, "Whom they name."),
        Parameter("phone", "query", _TEXT, "Whom they name."),
        Parameter("braze_id", "query", _TEXT, "Whom they name."),
        Parameter("device_id", "query", _TEXT, "The device that sent them, or an `anonymousId`; of whichever app."),
        Parameter("alias_name", "query", _TEXT, "Whom they name, with `alias_label`."),
        Parameter("alias_label", "query", _TEXT, "Of `alias_name`."),
        Parameter(
            "status",
            "query",
            str,
            "`queued`, `applied`, `skipped`, `dead` or `refused`; or an HTTP status such as 429, or `4xx` or `5xx`.",
        ),
        *_FILTERS,
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "Requests in a page; 50 by default."),
        Parameter("cursor", "query", str, "`next_cursor` of the page before."),
    ),
)
_ERRORS: Final = Documentation(
    title="Refused requests, by endpoint and error",
    tag="Requests",
    text="The most frequent ones first. A request with two errors is in two groups.",
    answers={200: Errors},
    parameters=(Parameter("status", "query", str, "An HTTP status such as 429, or `4xx` or `5xx`."), *_FILTERS),
)


def endpoints(services: Services) -> list[Endpoint]:
    log = services.request_log

    async def find(caller: Caller, request: Request) -> Answer:
        wanted, page = read_query(request.query_params, addresses.region_of(caller.options))
        return answered(200, answers.found(caller, await log.find(caller, wanted, page)))

    async def errors(caller: Caller, request: Request) -> Answer:
        groups, kept = await log.errors(caller, read_errors_query(request.query_params))
        return answered(200, answers.errors(groups, kept))

    return [
        Endpoint("GET", "/v1/requests", PERMISSION, "default", find, _FIND),
        Endpoint("GET", "/v1/errors", PERMISSION, "default", errors, _ERRORS),
    ]
