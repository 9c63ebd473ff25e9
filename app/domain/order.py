"""In which order the objects of a request take effect: as they were sent, or profile by profile where that is the same.

A request may update twenty large profiles in turn, a hundred times each. A worker has room for a few of them at a time
(workers/parts.py), and would load each a hundred times. So objects that touch nothing but their own profile are applied
profile by profile. The order is part of what a request means: its steps (app.domain.work) are used up in it.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from app.domain.commands import Command, Request, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.identifiers import UNIQUE_KINDS, with_former
from app.domain.profile import Identifier

#: Fields of attributes that nobody else can have: no identifiers, and no consent of an address.
_OWN: Final = frozenset(
    (
        "first_name", "last_name", "country", "language", "time_zone", "home_city", "dob", "gender",
        "current_location", "facebook", "twitter", "image_url", "native_line_id", "push_subscribe",
    )
)  # fmt: skip


def left(request: Request) -> Sequence[Command]:
    """The commands of a request that have not taken effect yet."""
    if request.begun is None:
        return request.commands
    return [request.commands[n] for n in request.begun.rest]


def positions(request: Request, holders: Callable[[Identifier], Collection[int]]) -> Sequence[int]:
    """Positions of these commands in the order in which they take effect. `holders`: as for `in_order`."""
    return in_order(request.commands, holders) if request.begun is None else request.begun.rest


def in_order(commands: Sequence[Command], holders: Callable[[Identifier], Collection[int]]) -> Sequence[int]:
    """Positions of the commands in the order in which they take effect.

    `holders` tells the numbers of the profiles that have an identifier before the request: State.holders.
    """
    places: dict[Identifier, list[int]] = {}
    for n, command in enumerate(commands):
        if not isinstance(command, (TrackAttributes, TrackEvent, TrackPurchase)):
            return range(len(commands))
        if command.identifier[0] not in UNIQUE_KINDS:
            return range(len(commands))
        if isinstance(command, TrackAttributes) and not command.fields.keys() <= _OWN:
            return range(len(commands))
        places.setdefault(command.identifier, []).append(n)
    if len(places) in (1, len(commands)):
        return range(len(commands))
    profiles: dict[int | Identifier, list[int]] = {}
    for identifier, positions in places.items():
        profiles.setdefault(_profile(identifier, holders), []).extend(positions)
    return [n for positions in profiles.values() for n in sorted(positions)]


def _profile(identifier: Identifier, holders: Callable[[Identifier], Collection[int]]) -> int | Identifier:
    """The number of the profile that has it. Nobody: a profile that has no other identifier in this request."""
    for each in with_former(identifier):
        for pid in holders(each):
            return pid
    return identifier
