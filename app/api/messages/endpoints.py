"""Messages that people got, and what is told of addresses: our own endpoints to write it, and lists to read it."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, queueing
from app.api.messages import models
from app.api.refusals import BodyRefusal, Refusal
from app.api.subscriptions.models import Done
from app.api.track.models import TrackRefusal
from app.contract import address_events, address_lists, addresses, merge_records, messages
from app.contract.address_lists import Kind, Page
from app.contract.checked import Checked
from app.contract.subscription_status import Query
from app.services.accepting.acceptor import Accepted, IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.messages"

_DAYS: Final = (
    Parameter("start_date", "query", str, "First day, of UTC: `YYYY-MM-DD`."),
    Parameter("end_date", "query", str, "Last day."),
    Parameter("limit", "query", str, "100 by default, at most 500."),
    Parameter("offset", "query", str, "Entries to leave out."),
)


def _list(title: str, text: str, answer: Any, *parameters: Parameter) -> Documentation:
    return Documentation(
        title=title, tag="Messages", text=text, parameters=(*parameters, *_DAYS), answers={200: answer}
    )


def _removes(title: str, text: str, body: Any, example: Any) -> Documentation:
    return Documentation(
        title=title,
        tag="Messages",
        text=text,
        body=body,
        example=example,
        answers={201: Done, 400: BodyRefusal},
        idempotent=True,
    )


_EMAIL: Final = Parameter("email", "query", str, "Instead of the days, or with them: up to 50 addresses.")
_BOUNCES: Final = _list("Addresses that bounced", "The newest first.", models.HardBounces, _EMAIL)
_UNSUBSCRIBES: Final = _list(
    "Addresses that are unsubscribed",
    "Globally, by whatever means.",
    models.Unsubscribes,
    _EMAIL,
    Parameter("sort_direction", "query", str, "`asc` or `desc`, which is the default: the newest first."),
)
_NUMBERS: Final = _list(
    "Numbers that are invalid",
    "The newest first.",
    models.InvalidNumbers,
    Parameter("phone_numbers", "query", str, "Instead of the days: up to 50 numbers, as `phone_numbers[]`."),
    Parameter("reason", "query", str, "`provider_error` or `deactivated`."),
)
_EXAMPLE: Final = {"email": ["ada@example.org"]}
_BOUNCE_REMOVE: Final = _removes("Take addresses off the bounces", "", models.EmailsBody, _EXAMPLE)
_SPAM_REMOVE: Final = _removes("Take complaints away", "Marks as spam, of addresses.", models.EmailsBody, _EXAMPLE)
_BLOCK: Final = _removes("Block addresses", "They are unsubscribed and marked as bounced.", models.EmailsBody, _EXAMPLE)
_NUMBER_REMOVE: Final = _removes(
    "Take numbers off the invalid ones", "", models.NumbersBody, {"phone_numbers": ["+15043277269"]}
)
_EVENTS: Final = Documentation(
    title="Tell of addresses",
    tag="Messages",
    text="What mail and message providers tell: an address bounced, somebody complained or unsubscribed, a number is "
    "none, an app is gone. It holds for everybody who has the address. Lists of bounces, of addresses that are "
    "unsubscribed and of invalid numbers show it.",
    body=models.AddressEvents,
    example={"events": [{"type": "hard_bounce", "email": "ada@example.org", "time": "2026-02-10T09:15:00Z"}]},
    answers={201: models.EventsAccepted, 400: TrackRefusal},
    idempotent=True,
)
_MESSAGES: Final = Documentation(
    title="Tell of messages",
    tag="Messages",
    text="Messages that people got, and what they did with them. Makes no profile. A profile keeps the newest 500, and "
    "as many campaigns and canvases.",
    body=models.MessagesBody,
    example={"messages": [{"external_id": "ada", "type": "opened", "channel": "email", "campaign_id": "spring"}]},
    answers={201: models.MessagesAccepted, 400: TrackRefusal},
    idempotent=True,
)
_KNOWN: Final = Documentation(
    title="Messages of a profile",
    tag="Messages",
    text="When it last got, opened or clicked what, by kind, by campaign and by canvas; and the newest messages.",
    parameters=tuple(
        Parameter(name, "query", str, "Whose: one of external_id, braze_id, email, or an alias by name and label.")
        for name in ("external_id", "braze_id", "email", "alias_name", "alias_label")
    ),
    answers={200: models.MessagesOf, 404: Refusal},
)


def endpoints(services: Services) -> list[Endpoint]:
    acceptor, lists = services.acceptor, services.address_lists

    def lister(kind: Kind, read: Callable[[Query], Page]) -> Callable[[Caller, Request], Any]:
        async def listed(caller: Caller, request: Request) -> Answer:
            found = await lists.page(caller, kind, read(request.query_params))
            return answered(200, address_lists.listing(kind, found.listed), stale=found.stale)

        return listed

    def queue(path: str, permission: str, check: Callable[[bytes, str], Checked], told: Documentation) -> Endpoint:
        async def queued(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Accepted:
            region = addresses.region_of(caller.options)
            return await acceptor.queue(caller, lambda sent: check(sent, region), body, key)

        return Endpoint("POST", path, permission, "default", queueing(services, queued), told)

    async def known(caller: Caller, request: Request) -> Answer:
        found = await services.messages.of(caller, merge_records.whose(request.query_params))
        return answered(200, messages.listing(found.profile), stale=found.stale)

    def of(check: Callable[[bytes], Checked]) -> Callable[[bytes, str], Checked]:
        return lambda body, _region: check(body)

    bounces = lister(address_lists.HARD_BOUNCES, address_lists.read_emails)
    unsubscribes = lister(address_lists.UNSUBSCRIBES, address_lists.read_emails)
    numbers = lister(address_lists.INVALID_NUMBERS, address_lists.read_numbers)
    block = of(address_events.check_blocklist)
    of_numbers = "sms.invalid_phone_numbers"
    return [
        Endpoint("GET", "/email/hard_bounces", "email.hard_bounces", "default", bounces, _BOUNCES),
        Endpoint("GET", "/email/unsubscribes", "email.unsubscribe", "default", unsubscribes, _UNSUBSCRIBES),
        queue("/email/bounce/remove", "email.bounce.remove", of(address_events.check_bounce_removal), _BOUNCE_REMOVE),
        queue("/email/spam/remove", "email.spam.remove", of(address_events.check_spam_removal), _SPAM_REMOVE),
        queue("/email/blocklist", "email.blacklist", block, _BLOCK),
        queue("/email/blacklist", "email.blacklist", block, _BLOCK),
        Endpoint("GET", "/sms/invalid_phone_numbers", of_numbers, "default", numbers, _NUMBERS),
        queue(
            "/sms/invalid_phone_numbers/remove",
            f"{of_numbers}.remove",
            of(address_events.check_number_removal),
            _NUMBER_REMOVE,
        ),
        queue("/v1/address_events", PERMISSION, address_events.check, _EVENTS),
        queue("/v1/messages", PERMISSION, messages.check, _MESSAGES),
        Endpoint("GET", "/v1/messages", PERMISSION, "default", known, _KNOWN),
    ]
