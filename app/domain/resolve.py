"""Which profile a command addresses (spec track.md 4, identify.md 4)."""

from dataclasses import dataclass
from typing import Final

from app.domain.address_book import TooFewLoadedError, Unloaded
from app.domain.commands import Selector
from app.domain.identifiers import UNIQUE_KINDS
from app.domain.profile import Identifier, Profile
from app.domain.reasons import AMBIGUOUS, INVALID_IDENTIFIER, PROFILE_NOT_FOUND
from app.domain.state import State

# The values of `prioritization`.
IDENTIFIED: Final = "identified"
UNIDENTIFIED: Final = "unidentified"
MOST_RECENTLY_UPDATED: Final = "most_recently_updated"
LEAST_RECENTLY_UPDATED: Final = "least_recently_updated"


def find(state: State, identifier: Identifier) -> Profile | None:
    """The profile that an object of /users/track addresses, or None.

    Of several holders of an e-mail address or a phone number: the identified ones first, then the last updated one.
    """
    if identifier[0] in UNIQUE_KINDS:
        return state.owner(identifier)
    candidates = [state.profiles[pid] for pid in state.holders(identifier)]
    unloaded = state.unloaded.get(identifier, ())
    if len(candidates) < 2 and not unloaded:
        return candidates[0] if candidates else None
    for is_identified in (True, False):
        group = [profile for profile in candidates if (profile.external_id is not None) is is_identified]
        others = [rest for rest in unloaded if rest.identified is is_identified]
        if group or others:
            best = max(group, key=lambda profile: profile.recency, default=None)
            if best is None or any(rest.newest > best.recency for rest in others):
                raise TooFewLoadedError
            return best
    return None


def select(state: State, who: Selector) -> tuple[Profile | None, str]:
    """(the profile that is meant, "") or (None, the reason why nobody is meant) (spec identify.md 4)."""
    if who.key is None:
        return None, INVALID_IDENTIFIER
    if who.key[0] in UNIQUE_KINDS:
        return state.owner(who.key), PROFILE_NOT_FOUND
    left = _Candidates([state.profiles[pid] for pid in state.holders(who.key)], list(state.unloaded.get(who.key, ())))
    for n, rule in enumerate(who.prioritization, 1):
        left.apply(rule, is_last=n == len(who.prioritization))
    if left.count() > 1:
        return None, AMBIGUOUS
    if left.unloaded:
        raise TooFewLoadedError
    return (left.profiles[0], "") if left.profiles else (None, PROFILE_NOT_FOUND)


@dataclass(slots=True)
class _Candidates:
    """Holders of an address on their way through `prioritization`."""

    profiles: list[Profile]
    unloaded: list[Unloaded]

    def count(self) -> int:
        return len(self.profiles) + sum(rest.count for rest in self.unloaded)

    def apply(self, rule: str, *, is_last: bool) -> None:
        if rule in (IDENTIFIED, UNIDENTIFIED):
            wanted = rule == IDENTIFIED
            self.profiles = [profile for profile in self.profiles if (profile.external_id is not None) is wanted]
            self.unloaded = [rest for rest in self.unloaded if rest.identified is wanted]
            return
        # Profiles with the same last write stay together, and are ambiguous in the end.
        moments = [_moment(profile.recency) for profile in self.profiles]
        newest = rule == MOST_RECENTLY_UPDATED
        best = (max if newest else min)(moments, default=None)
        self.profiles = [profile for profile, at in zip(self.profiles, moments, strict=True) if at == best]
        for rest in self.unloaded:
            end = _moment(rest.newest if newest else rest.oldest)
            is_settled = best is not None and (best > end if newest else best < end)
            if not is_settled and not (best == end and is_last and len(self.profiles) > 1):
                raise TooFewLoadedError
        self.unloaded = []


def _moment(recency: tuple[int, int, int, str]) -> tuple[int, int]:
    return recency[:2]
