"""How far a request has taken effect that is applied in parts, and what its next part has to know.

Each part is committed with its progress, so that the next one, made by any worker at any time, goes on exactly there.
"""

from dataclasses import dataclass, field
from typing import Final

from app.domain.profile import Identifier, Problem

NONE_ENDED: Final = (0, -1)
"""As `Carried.ended`: no object has."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a request hands on from part to part: the fields of app.domain.step.Step that outlive a state."""

    problems: int
    problem_bytes: int
    omits: bool
    is_over: bool
    ended: tuple[int, int]
    withheld: tuple[int | None, str] | None
    late: frozenset[int]
    #: Steps that are left (app.domain.work).
    work_left: int
    #: Sizes of the drafts of profiles: {pid: {name of an attribute: bytes}}.
    drafts: dict[int, dict[str, int]]
    #: (what duplicates share, number of the profile that is kept, why none is).
    groups: list[tuple[Identifier, int | None, str]]


@dataclass(frozen=True, slots=True)
class Progress:
    """A request of which some commands have taken effect, and others have not."""

    #: How many have, since the request was first begun.
    done: int
    #: Positions of the others, in the order in which they take effect.
    rest: list[int]
    carried: Carried
    #: How many commands the next part tries; a guess.
    size: int
    #: What had no effect so far.
    problems: list[Problem] = field(default_factory=list)
