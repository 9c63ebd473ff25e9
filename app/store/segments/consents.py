"""Consent and complaints, which belong to addresses, and to people while they have none."""

from collections.abc import Callable

from sqlalchemy import and_, case, false, func, or_, select

from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_FIELDS,
    CORE,
    EMAIL,
    GROUP_FIELDS,
    HARD_BOUNCED,
    PHONE,
    SPAM,
    SUBSCRIBED,
    UNSUBSCRIBED,
)
from app.domain.segments.clock import Clock
from app.domain.segments.model import Filter
from app.store.segments.leaves import Expression, Leaf, Rows, column_leaf, flag_leaf, given
from app.store.segments.makers import Maker, number_of, text_of
from app.store.segments.scope import Scope, table


def email_state(scope: Scope) -> tuple[Expression, Expression]:
    """(state, when it was changed); null where nothing was recorded."""
    email = given(text_of(scope, "email").text)
    consent = scope.topic(CHANNEL_EMAIL, email, "")
    own = scope.entry(CORE, "email_subscribe")
    there = email.is_not(None)
    state = case((there, consent.c.state), else_=own.item(0).leaf(scope.rows(CORE)).text)
    changed = case((there, consent.c.changed_us), else_=number_of(own.item(1), scope, CORE))
    return state, changed


def push_state(scope: Scope) -> tuple[Expression, Expression]:
    own = scope.entry(CORE, "push_subscribe")
    return given(own.item(0).leaf(scope.rows(CORE)).text), number_of(own.item(1), scope, CORE)


State = Callable[[Scope], tuple[Expression, Expression]]


def status(of: State) -> Maker:
    def made(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        state = func.coalesce(of(scope)[0], SUBSCRIBED)
        # The different states are asked for of everybody in the scope, since they are no column of one table.
        return Leaf(Rows(lambda: (scope.joined,), tuple(scope.conditions)), false(), text=state)

    return made


def since(of: State, wanted: str) -> Maker:
    def made(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        state, changed = of(scope)
        return column_leaf(scope.rows(CORE), us=case((state == wanted, changed)))

    return made


def available(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    email = given(text_of(scope, "email").text)
    marks = [scope.topic(CHANNEL_EMAIL, email, mark).c.state.is_(None) for mark in (SPAM, HARD_BOUNCED)]
    state = func.coalesce(email_state(scope)[0], SUBSCRIBED)
    return flag_leaf(scope.rows(CORE), and_(email.is_not(None), state != UNSUBSCRIBED, *marks))


def marked(channel: int, mark: str, own: str = "") -> Maker:
    """When an address was marked; `own` is where a complaint lies while a profile has no address."""

    def made(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
        address = given(text_of(scope, CHANNEL_FIELDS[channel]).text)
        changed = scope.topic(channel, address, mark).c.changed_us
        if own:
            changed = case((address.is_not(None), changed), else_=number_of(scope.entry(CORE, own), scope, CORE))
        return column_leaf(scope.rows(CORE), us=changed)

    return made


def group_state(scope: Scope, one: Filter) -> Expression:
    """Whether the state in a subscription group is recorded: for the e-mail address or phone number, or for the person
    who has none."""
    wanted = SUBSCRIBED if one.op == "is_subscribed" else UNSUBSCRIBED
    state = table("address_state").alias()
    holder = table("identifier").alias()
    holders = (
        select(holder.c.pid)
        .join(
            state,
            and_(
                state.c.workspace_id == holder.c.workspace_id,
                state.c.address == holder.c.value,
                holder.c.kind == case((state.c.channel == CHANNEL_EMAIL, EMAIL), else_=PHONE),
            ),
        )
        .where(
            holder.c.workspace_id == scope.workspace_id,
            holder.c.label == "",
            state.c.group_id == one.name,
            state.c.state == wanted,
        )
    )
    said = [
        func.coalesce(scope.entry(CORE, field).member(one.name).item(0).leaf(scope.rows(CORE)).text == wanted, false())
        for field in GROUP_FIELDS.values()
    ]
    return or_(scope.profile.c.pid.in_(holders), *said)
