"""Subscription groups: listed, made and renamed; the states of a person, and setting one."""

import json
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.contract import addresses
from app.contract import subscription_groups as contract
from app.contract.errors import RefusedError
from app.contract.subscription_status import Member, read_user_status
from app.contract.subscriptions import BAD_STATE
from app.domain.profile import SUBSCRIBED, UNSUBSCRIBED
from app.services.accounts import ADMIN, OPERATOR
from app.services.refusals import GroupTakenError, TooManyGroupsError, UnknownGroupError

#: By what somebody is found.
BY: Final = ("external_id", "email", "phone")
#: People of an address that are shown.
_MOST: Final = 20


async def list_groups(visit: Visit) -> Response:
    """With `by` and `who` the states of that person as well."""
    return await _shown(visit, visit.query["by"], visit.query["who"].strip())


async def create_group(visit: Visit) -> Response:
    form = visit.form
    name, group_id = form["name"].strip(), form["group_id"].strip()
    visit.target = name
    groups = visit.services.subscription_groups
    try:
        if form["channel"] not in contract.CHANNELS:
            raise RefusedError(400, contract.BAD_CHANNEL)
        wanted = contract.checked_id(group_id) if group_id else None
        await groups.create(visit.caller, contract.checked_name(name), form["channel"], wanted)
    except RefusedError as refused:
        return await _shown(visit, wrong=refused.message)
    except GroupTakenError:
        return await _shown(visit, wrong=contract.TAKEN)
    except TooManyGroupsError:
        return await _shown(visit, wrong=contract.TOO_MANY)
    return visit.go("/subscriptions", f"The group {name} is made.")


async def rename_group(visit: Visit) -> Response:
    name = visit.target = visit.form["name"].strip()
    try:
        await visit.services.subscription_groups.rename(
            visit.caller, visit.form["group_id"], contract.checked_name(name)
        )
    except RefusedError as refused:
        return await _shown(visit, wrong=refused.message)
    except UnknownGroupError:
        return await _shown(visit, wrong=contract.UNKNOWN)
    return visit.go("/subscriptions", f"The group is called {name} now.")


async def set_state(visit: Visit) -> Response:
    form = visit.form
    by, who, group, state = form["by"], form["who"].strip(), form["group_id"], form["state"]
    visit.target = group
    body: dict[str, Any] = {"subscription_group_id": group, "subscription_state": state}
    if by in BY:
        body[by] = who
    try:
        if state not in (SUBSCRIBED, UNSUBSCRIBED):
            raise RefusedError(400, BAD_STATE)
        accepted = await visit.services.subscriptions.set_group(visit.caller, json.dumps(body).encode())
    except RefusedError as refused:
        return await _shown(visit, by, who, refused.message)
    return visit.go("/subscriptions", f"The state is set by the request {accepted.request_id}.")


async def _shown(visit: Visit, by: str = "", who: str = "", wrong: str = "") -> Response:
    members: list[Member] | None = None
    stale = False
    if who and by in BY:
        try:
            region = addresses.region_of(visit.caller.options)
            named, *_ = read_user_status(QueryParams({by: who}), region)
            found = await visit.services.subscriptions.members(visit.caller, named, _MOST, 0)
            members, stale = found.members, found.stale
        except RefusedError as refused:
            wrong = wrong or refused.message
    return visit.show(
        "subscriptions/list.html",
        422 if wrong else 200,
        groups=await visit.services.subscription_groups.listed(visit.caller),
        channels=tuple(contract.CHANNELS),
        members=members,
        stale=stale,
        by=by if by in BY else BY[0],
        who=who,
        ways=BY,
        states=(SUBSCRIBED, UNSUBSCRIBED),
        wrong=wrong,
    )


PAGES: Final = (
    Page(f"{WORKSPACE}/subscriptions", list_groups, title="Subscriptions"),
    Page(f"{WORKSPACE}/subscriptions", create_group, role=ADMIN, method="POST", act="subscriptions.create_group"),
    Page(f"{WORKSPACE}/subscriptions/rename", rename_group, role=ADMIN, method="POST", act="subscriptions.rename"),
    Page(f"{WORKSPACE}/subscriptions/state", set_state, role=OPERATOR, method="POST", act="subscriptions.set"),
)
