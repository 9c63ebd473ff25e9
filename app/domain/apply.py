"""The reducer: applies accepted requests to a state, one after another in their order.

Pure at its border (same requests and state in, same state out; no clock, no randomness) and total: whatever the
contract accepts has an effect here or leaves a problem with a reason.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from app.domain import custom_attributes, resolve
from app.domain.commands import ChangeSettings, Command, Request, Track, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.ids import NewIds, new_ids
from app.domain.profile import (
    ALIAS,
    CHANNEL_EMAIL,
    CORE,
    CUSTOM,
    EMAIL,
    EVENTS,
    EXTERNAL,
    NAME_EVENT,
    NAME_PRODUCT,
    PHONE,
    PURCHASES,
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    UNSUBSCRIBED,
    AddressState,
    Occurrence,
    Problem,
    Profile,
)
from app.domain.state import MAX_PROBLEMS_PER_REQUEST, State

#: Occurrences older than this at acceptance serve no filter (X times in the last Y <= 30 days, UTC calendar days).
OCCURRENCE_WINDOW_US = 32 * 86_400_000_000
MAX_CENTS = 2**63 - 1

_SCALARS = frozenset((str, int, float, bool))

# Reasons for which a whole object has no effect.
PROFILE_NOT_FOUND = "profile_not_found"
# Reasons for which a part of an object has no effect.
NO_USD_RATE = "no_usd_rate"
PROBLEMS_OMITTED = "further_problems_omitted"
INVALID_NAME = "invalid_name"


def reduce(requests: Iterable[Request], state: State, workspace_id: int, secret: bytes) -> None:
    """Apply requests in order. The state is changed in place; `state.changes` says what has to be written."""
    for request in requests:
        step = _Step(state, request, workspace_id, secret)
        for ordinal, command in enumerate(request.commands):
            step.ordinal = ordinal
            step.apply(command)


class _Step:
    """One request on its way through the reducer."""

    __slots__ = ("ordinal", "problems", "request", "secret", "state", "workspace_id")

    def __init__(self, state: State, request: Request, workspace_id: int, secret: bytes) -> None:
        self.state = state
        self.request = request
        self.workspace_id = workspace_id
        self.secret = secret
        self.ordinal = 0
        self.problems = 0

    def apply(self, command: Command) -> None:
        counts = self.state.changes.counts
        if isinstance(command, ChangeSettings):
            # An unknown field is from a newer version; it must not stop this one.
            known = {name: value for name, value in command.values.items() if hasattr(self.state.settings, name)}
            self.state.settings = replace(self.state.settings, **known)  # type: ignore[arg-type]
            self.state.changes.settings_changed = True
            return
        for name, reason in command.ignored:
            self.skip(command, reason, name)
        profile = resolve.find(self.state, command.key)
        if profile is None:
            if not resolve.creates(self.state, command):
                self.skip(command, PROFILE_NOT_FOUND)
                counts["skipped"] += 1
                return
            profile = self.create(command)
        self.state.touch(profile, self.request.accepted_us, self.ordinal)
        counts[command.input_array] += 1
        if isinstance(command, TrackAttributes):
            self.attributes(profile, command)
        elif isinstance(command, TrackEvent):
            self.event(profile, command)
        else:
            self.purchase(profile, command)

    def skip(self, command: Command, reason: str, field: str = "") -> None:
        self.problems += 1
        if field:
            self.state.changes.counts["ignored"] += 1
        if self.problems > MAX_PROBLEMS_PER_REQUEST:
            return
        if self.problems == MAX_PROBLEMS_PER_REQUEST:
            reason, field = PROBLEMS_OMITTED, ""
        self.state.problem(
            Problem(
                self.request.stream,
                self.request.seq,
                self.ordinal,
                command.input_array,
                command.index,
                field[:255],
                reason,
            )
        )

    def create(self, command: Track) -> Profile:
        request, state = self.request, self.state
        ids: NewIds = new_ids(self.secret, self.workspace_id, request.stream, request.seq, self.ordinal)
        profile = Profile(
            pid=ids.pid,
            braze_id=ids.braze_id,
            created_us=request.accepted_us,
            updated_us=request.accepted_us,
            updated_index=self.ordinal,
            random_bucket=ids.random_bucket,
            core={},
            custom={},
            events={},
            purchases={},
            devices={},
            messages={},
        )
        state.create(profile)
        kind, label, value = command.key
        if kind == EXTERNAL:
            profile.external_id = value
            state.add_key(profile, command.key)
        elif kind == ALIAS:
            state.add_alias(profile, label, value)
        elif kind == EMAIL:
            self.set_email(profile, value)
        elif kind == PHONE:
            state.set_core(profile, "phone", value)
            state.set_core(profile, "phone_raw", value)
        return profile

    # attributes

    def attributes(self, profile: Profile, command: TrackAttributes) -> None:
        state, fields = self.state, command.fields
        # The address goes first wherever it stands, since the state named beside it is meant for it.
        if "email" in fields:
            self.set_email(profile, fields["email"], explicit="email_subscribe" in fields)
        for name, value in fields.items():
            if name == "email":
                continue
            if name == "email_subscribe":
                self.subscribe_email(profile, str(value))
            elif name == "push_subscribe":
                current: Any = state.section(profile, CORE).get(name)
                if current is None or current[0] != value:
                    state.set_core(profile, name, [value, self.request.accepted_us])
            elif name == "first_session":
                profile.first_session_us = value  # type: ignore[assignment]
            elif name == "last_session":
                profile.last_session_us = value  # type: ignore[assignment]
            else:
                state.set_core(profile, name, value)
        if command.custom:
            self.custom(profile, command)

    def custom(self, profile: Profile, command: TrackAttributes) -> None:
        state, custom = self.state, self.state.section(profile, CUSTOM)
        settings = state.settings
        options = custom_attributes.Options(
            merge_objects=command.merge_objects,
            array_max=settings.array_max,
            nested_null_deletes=settings.nested_null_deletes,
        )
        changed = False
        for sent, raw in command.custom.items():
            if sent in custom:
                # Most writes repeat what is there. A stored scalar that equals the sent one needs no second look: were
                # it a date or out of range, it would have been stored as something else.
                before = custom[sent]
                if type(before) is type(raw) and before == raw and type(raw) in _SCALARS:
                    continue
            name = custom_attributes.valid_name(sent)
            if name is None:
                self.skip(command, INVALID_NAME, sent)
                continue
            before = custom.get(name, custom_attributes.MISSING)
            value = custom_attributes.updated(before, raw, options)
            if isinstance(value, custom_attributes.Skip):
                self.skip(command, value.reason, name)
            elif value is custom_attributes.UNSET:
                changed = custom.pop(name, custom_attributes.MISSING) is not custom_attributes.MISSING or changed
            elif type(value) is not type(before) or value != before or isinstance(value, (list, dict)):
                custom[name] = value
                changed = True
        if changed:
            state.changed(profile, CUSTOM)

    def set_email(self, profile: Profile, value: object, *, explicit: bool = False) -> None:
        """Set or clear the address. The consent of the person follows; it never gets more permissive by it (D11)."""
        state, core = self.state, self.state.section(profile, CORE)
        before = core.get("email")
        if before == value:
            return
        own = core.get("email_subscribe") if before is None else _pair(state.address((CHANNEL_EMAIL, before, "")))
        state.set_core(profile, "email", value)
        if value is None:
            state.set_core(profile, "email_subscribe", own)
            return
        state.set_core(profile, "email_subscribe", None)
        if (
            own is not None
            and own[0] == UNSUBSCRIBED
            and before is not None
            and state.settings.resubscribe_on_email_change
        ):
            own = [SUBSCRIBED, self.request.accepted_us]
        address = (CHANNEL_EMAIL, str(value), "")
        theirs = state.address(address)
        if own is None or explicit:
            return
        if theirs is None or SUBSCRIPTION_STATES.index(own[0]) < SUBSCRIPTION_STATES.index(theirs.state):
            state.set_address(address, AddressState(own[0], own[1]))

    def subscribe_email(self, profile: Profile, value: str) -> None:
        email = self.state.section(profile, CORE).get("email")
        if email is None:
            current: Any = self.state.section(profile, CORE).get("email_subscribe")
            if current is None or current[0] != value:
                self.state.set_core(profile, "email_subscribe", [value, self.request.accepted_us])
            return
        address = (CHANNEL_EMAIL, email, "")
        recorded = self.state.address(address)
        if recorded is None or recorded.state != value:
            self.state.set_address(address, AddressState(value, self.request.accepted_us))

    # events and purchases

    def event(self, profile: Profile, command: TrackEvent) -> None:
        time_us = min(command.time_us, self.request.accepted_us)
        self.summarise(profile, EVENTS, NAME_EVENT, command.name, time_us, 1)
        self.occurred(profile, command, NAME_EVENT, command.name, time_us, 1, 0)

    def purchase(self, profile: Profile, command: TrackPurchase) -> None:
        time_us, quantity = min(command.time_us, self.request.accepted_us), command.quantity
        cents = 0
        rate = self.state.settings.usd_rates.get(command.currency)
        if rate is None:
            self.skip(command, NO_USD_RATE, "price")
        else:
            amount = command.price * quantity * Decimal(rate) * 100
            cents = int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))
        self.summarise(profile, PURCHASES, NAME_PRODUCT, command.product_id, time_us, quantity)
        profile.purchase_count += quantity
        profile.revenue_cents = max(-MAX_CENTS, min(MAX_CENTS, profile.revenue_cents + cents))
        profile.first_purchase_us = _least(profile.first_purchase_us, time_us)
        profile.last_purchase_us = _greatest(profile.last_purchase_us, time_us)
        self.occurred(profile, command, NAME_PRODUCT, command.product_id, time_us, quantity, cents)

    def summarise(self, profile: Profile, section: int, kind: int, name: str, time_us: int, count: int) -> None:
        summaries: dict[str, list[int]] = self.state.section(profile, section)
        before = summaries.get(name)
        if before is None:
            summaries[name] = [count, time_us, time_us]
            self.state.changes.names.add((kind, name))
        else:
            summaries[name] = [before[0] + count, min(before[1], time_us), max(before[2], time_us)]
        self.state.changed(profile, section)

    def occurred(
        self,
        profile: Profile,
        command: TrackEvent | TrackPurchase,
        kind: int,
        name: str,
        time_us: int,
        quantity: int,
        cents: int,
    ) -> None:
        if time_us < self.request.accepted_us - OCCURRENCE_WINDOW_US:
            return
        self.state.changes.names.add((kind, name))
        self.state.changes.occurrences.append(
            Occurrence(
                self.request.stream,
                self.request.seq,
                self.ordinal,
                profile.pid,
                kind,
                name,
                time_us,
                command.app_id,
                command.properties,
                quantity,
                cents,
            )
        )


def _pair(state: AddressState | None) -> list[Any] | None:
    return None if state is None else [state.state, state.changed_us]


def _least(before: int | None, value: int) -> int:
    return value if before is None else min(before, value)


def _greatest(before: int | None, value: int) -> int:
    return value if before is None else max(before, value)
