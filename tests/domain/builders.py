"""Profiles, states and merges of them, made in memory."""

from typing import Any

from app.domain import sizes
from app.domain.history import Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.merge import MERGE, perform, plan_merge
from app.domain.merging.plan import MergePlan
from app.domain.profile import CORE_FIELDS, Address, AddressState, Profile
from app.domain.state import State


def profile(pid: int, /, **values: Any) -> Profile:
    """A profile with all sections loaded."""
    made = Profile(pid, f"{pid:024x}", created_us=pid, updated_us=pid, updated_index=0)
    made.core, made.custom, made.events = {}, {}, {}
    made.purchases, made.devices, made.messages, made.commerce = {}, {}, {}, {}
    for name, value in values.items():
        if name in CORE_FIELDS:
            made.core[name] = value
        else:
            setattr(made, name, value)
    made.size = values.get("size") or sizes.of_profile(made)
    return made


def state_of(*profiles: Profile, addresses: dict[Address, AddressState] | None = None) -> State:
    """A complete workspace of these profiles, with nothing changed yet."""
    state = State(complete=True, addresses=dict(addresses or {}))
    for one in profiles:
        state.create(one)
        for key in sorted(identifiers_of(one)):
            state.add_identifier(one, key)
    state.changes = type(state.changes)()
    return state


def merged(
    kept: Profile, other: Profile, policy: str = MERGE, addresses: dict[Address, AddressState] | None = None
) -> tuple[Profile, State, MergePlan]:
    """Merge `other` into `kept` as request 7, command 3, at microsecond 1,000; the kept profile, state and plan."""
    state = state_of(kept, other, addresses=addresses)
    plan = plan_merge(kept, other, policy, state.topics)
    perform(state, plan, Origin(0, 7, 3, 1_000, "backend"), "m1")
    return kept, state, plan
