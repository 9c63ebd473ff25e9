"""Whom a command names, as it was sent: whether or not anybody has the identifier."""

from typing import Final

from app.domain.commands import Command
from app.domain.effects import EFFECTS
from app.domain.profile import CHANNEL_KINDS, DEPRECATED, Identifier

_NOBODY: Final[frozenset[Identifier]] = frozenset()


def identifiers_named(command: Command) -> frozenset[Identifier]:
    """Every identifier that the command addresses, looks up, or gives to somebody.

    It is the row of the command in app.domain.effects that says so, as it says to the loader. So a command that is
    added is found by its identifiers without a line here.
    """
    effect = EFFECTS[type(command)]
    found: set[Identifier] = set()
    if effect.identifier is not None and (identifier := effect.identifier(command)) is not None:
        found.add(identifier)
    if effect.gives is not None:
        found.update(effect.gives(command))
    found.update(selector.key for selector in effect.selectors(command) if selector.key is not None)
    found.update(key for key in effect.takes(command) if key[0] != DEPRECATED)
    if effect.shared is not None:
        found.update((CHANNEL_KINDS[channel], "", address) for channel, address in effect.shared(command))
    return frozenset(found) if found else _NOBODY
