"""Change webhooks: listed with how they fare, made, changed, tested and deleted; and what they were not told yet."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.contract import webhooks as contract
from app.contract.errors import RefusedError
from app.contract.segment_requests import PAGE, Listing
from app.domain.webhooks import CHANGES, EVENTS, OF_SEGMENT, Webhook, names_of
from app.services.accounts import ADMIN, OPERATOR
from app.services.refusals import TooManyWebhooksError, UnknownWebhookError
from app.services.segments import Segment
from app.services.webhooks import Message

#: Messages on the page.
_MESSAGES: Final = 50


async def list_webhooks(visit: Visit) -> Response:
    webhooks = await visit.services.webhooks.listed(visit.caller)
    names: dict[str, str] = {}
    if any(webhook.segment_id for webhook in webhooks):
        names = {segment.id: segment.name for segment in await _segments(visit)}
    return visit.show("webhooks/list.html", webhooks=webhooks, names=names)


async def messages(visit: Visit) -> Response:
    """A part of the page of a webhook: what it was not told yet."""
    webhooks, webhook_id = visit.services.webhooks, visit.query["id"]
    found: dict[str, list[Message]] = {state: [] for state in contract.STATES}
    if webhook_id:
        for state in found:
            found[state] = await webhooks.messages(visit.caller, webhook_id, state, _MESSAGES)
    return visit.show("webhooks/messages.html", messages=found, webhook_id=webhook_id, names_of=names_of)


async def edit_webhook(visit: Visit) -> Response:
    """The form of a new webhook, or with `id` of one that there is."""
    webhook_id = visit.query["id"]
    if not webhook_id:
        values = {"url": "", "events": CHANGES, "segment_id": "", "include": "", "enabled": "yes"}
        return await _form(visit, values)
    return await _form(visit, _values(await visit.services.webhooks.one(visit.caller, webhook_id)), webhook_id)


async def save_webhook(visit: Visit) -> Response:
    form, webhook_id = visit.form, visit.form["id"]
    values: dict[str, Any] = {"url": form["url"].strip(), "events": form.all("events")}
    values |= {name: form[name] for name in ("segment_id", "include", "enabled")}
    visit.target = webhook_id
    document = {
        "url": values["url"],
        "events": values["events"],
        "segment_id": values["segment_id"] or None,
        "include": contract.PROFILE if values["include"] == "yes" else None,
        "enabled": values["enabled"] == "yes",
    }
    try:
        if webhook_id:
            await visit.services.webhooks.change(visit.caller, webhook_id, contract.changes(document))
            return visit.go("/webhooks", "The webhook is changed. What waits for it goes out at once.")
        made = await visit.services.webhooks.create(visit.caller, contract.new(document))
    except RefusedError as refused:
        return await _form(visit, values, webhook_id, refused.message)
    except TooManyWebhooksError:
        return await _form(visit, values, webhook_id, contract.TOO_MANY)
    return visit.show("webhooks/secret.html", webhook=made)


async def rotate_secret(visit: Visit) -> Response:
    visit.target = visit.form["id"]
    return visit.show("webhooks/secret.html", webhook=await visit.services.webhooks.rotate(visit.caller, visit.target))


async def test_webhook(visit: Visit) -> Response:
    visit.target = visit.form["id"]
    try:
        await visit.services.webhooks.test(visit.caller, visit.target)
    except UnknownWebhookError:
        return visit.go("/webhooks", contract.UNKNOWN)
    return visit.go("/webhooks", "A test is on its way.")


async def replay_messages(visit: Visit) -> Response:
    visit.target = visit.form["id"]
    try:
        number = await visit.services.webhooks.replay(visit.caller, visit.target)
    except UnknownWebhookError:
        return visit.go("/webhooks", contract.UNKNOWN)
    return visit.go("/webhooks", f"Dead messages that are sent again: {number}.")


async def delete_webhook(visit: Visit) -> Response:
    visit.target = visit.form["id"]
    try:
        await visit.services.webhooks.delete(visit.caller, visit.target)
    except UnknownWebhookError:
        return visit.go("/webhooks", contract.UNKNOWN)
    return visit.go("/webhooks", "The webhook is deleted, with what it was not told yet.")


async def _segments(visit: Visit) -> list[Segment]:
    found: list[Segment] = []
    while len(found) % PAGE == 0:
        more = await visit.services.segments.listed(visit.caller, Listing(len(found) // PAGE, newest=False))
        if not more:
            break
        found += more
    return found


async def _form(visit: Visit, values: Mapping[str, Any], webhook_id: str = "", wrong: str = "") -> Response:
    return visit.show(
        "webhooks/form.html",
        422 if wrong else 200,
        values=values,
        webhook_id=webhook_id,
        wrong=wrong,
        events=EVENTS,
        of_segment=OF_SEGMENT,
        segments=await _segments(visit),
    )


def _values(webhook: Webhook) -> dict[str, Any]:
    return {
        "url": webhook.url,
        "events": webhook.events,
        "segment_id": webhook.segment_id,
        "include": "yes" if webhook.with_profile else "",
        "enabled": "yes" if webhook.enabled else "",
    }


PAGES: Final = (
    Page(f"{WORKSPACE}/webhooks", list_webhooks, title="Webhooks"),
    Page(f"{WORKSPACE}/webhooks/messages", messages),
    Page(f"{WORKSPACE}/webhooks/edit", edit_webhook, role=ADMIN),
    Page(f"{WORKSPACE}/webhooks", save_webhook, role=ADMIN, method="POST", act="webhooks.save"),
    Page(f"{WORKSPACE}/webhooks/secret", rotate_secret, role=ADMIN, method="POST", act="webhooks.rotate"),
    Page(f"{WORKSPACE}/webhooks/test", test_webhook, role=ADMIN, method="POST", act="webhooks.test"),
    Page(f"{WORKSPACE}/webhooks/replay", replay_messages, role=OPERATOR, method="POST", act="webhooks.replay"),
    Page(f"{WORKSPACE}/webhooks/delete", delete_webhook, role=ADMIN, method="POST", act="webhooks.delete"),
)
