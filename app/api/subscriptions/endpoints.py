"""Consent: states of subscription groups and of e-mail addresses."""

from typing import Any, Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, queueing
from app.api.refusals import BodyRefusal
from app.api.subscriptions import models
from app.contract import addresses, subscription_status
from app.services.caller import Caller
from app.services.registry import Services

SETTING: Final = "subscription-set"

_REACH: Final = (
    "An external id stands for its profile and for everybody with the same address. A state that is set for an address "
    "that nobody has waits for 30 days for somebody who gets it. "
)
_EXAMPLE: Final = {"subscription_group_id": "newsletter", "subscription_state": "unsubscribed"}


def _set(title: str, text: str, body: Any, example: Any) -> Documentation:
    return Documentation(
        title=title,
        tag="Subscriptions",
        text=text + "Stored before it is answered, applied in the background.",
        body=body,
        example=example,
        answers={201: models.Done, 400: BodyRefusal},
        idempotent=True,
    )


_ONE: Final = _set("Set a state of a group", _REACH, models.GroupStateBody, {**_EXAMPLE, "external_id": ["ada", "bob"]})
_SEVERAL: Final = _set(
    "Set states of several groups",
    _REACH,
    models.GroupStatesBody,
    {"subscription_groups": [{**_EXAMPLE, "emails": ["ada@example.org"]}]},
)
_EMAIL: Final = _set(
    "Set the global state of e-mail addresses",
    "It reaches every profile with the address, now or within 30 days. It goes before states of groups, and leaves "
    "them as they are. ",
    models.EmailStatusBody,
    {"email": "ada@example.org", "subscription_state": "unsubscribed"},
)
_WHO: Final = tuple(
    Parameter(name, "query", str, "Up to 50 of them: repeat it, or write `[]` behind the name.")
    for name in ("external_id", "email", "phone")
)
_STATUS: Final = Documentation(
    title="States of a group",
    tag="Subscriptions",
    text="`Unknown`: nothing is recorded. External ids go before e-mail addresses and phone numbers.",
    parameters=(Parameter("subscription_group_id", "query", str, "The group."), *_WHO),
    answers={200: models.Statuses},
)
_USER: Final = Documentation(
    title="People with their states of groups",
    tag="Subscriptions",
    text="Everybody who is named by any of the parameters. Only groups of which a state is recorded are listed.",
    parameters=(
        *_WHO,
        Parameter("limit", "query", str, "People in a page; 100 by default, and at most."),
        Parameter("offset", "query", str, "People to leave out."),
    ),
    answers={200: models.UserStatuses},
)


def endpoints(services: Services) -> list[Endpoint]:
    subscriptions = services.subscriptions

    async def status(caller: Caller, request: Request) -> Answer:
        region = addresses.region_of(caller.options)
        group, named = subscription_status.read_status(request.query_params, region)
        states, stale = await subscriptions.status(caller, group, named)
        return answered(200, subscription_status.status_answer(named, states), stale=stale)

    async def user_status(caller: Caller, request: Request) -> Answer:
        region = addresses.region_of(caller.options)
        named, limit, offset = subscription_status.read_user_status(request.query_params, region)
        found = await subscriptions.members(caller, named, limit, offset)
        return answered(200, subscription_status.user_status_answer(found.members, found.total), stale=found.stale)

    one, several = queueing(services, subscriptions.set_group), queueing(services, subscriptions.set_groups)
    emails = queueing(services, subscriptions.set_emails)
    setting, groups = "subscription.status.set", "subscription.groups.get"
    return [
        Endpoint("POST", "/subscription/status/set", setting, SETTING, one, _ONE),
        Endpoint("POST", "/v2/subscription/status/set", setting, SETTING, several, _SEVERAL),
        Endpoint("GET", "/subscription/status/get", "subscription.status.get", "default", status, _STATUS),
        Endpoint("GET", "/subscription/user/status", groups, "default", user_status, _USER),
        Endpoint("POST", "/email/status", "email.status", "default", emails, _EMAIL),
    ]
