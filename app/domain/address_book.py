"""Who has which identifier, and what is recorded of e-mail addresses and phone numbers: consent, and marks.

What is recorded belongs to the address, so that one entry reaches every profile that has it, however many there are
(DECISIONS D11, D27). While nobody has the address, the entry is kept for a time, and whoever gets the address then
inherits it (spec subscriptions.md 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.domain.changes import Changes
from app.domain.identifiers import ChannelAddress
from app.domain.profile import CHANNEL_KINDS, Address, AddressState, Identifier
from app.domain.times import DAY

#: For how long the consent of an address that nobody has is kept.
ORPHAN_US: Final = 30 * DAY

CHANNELS: Final = {kind: channel for channel, kind in CHANNEL_KINDS.items()}
"""By kind of identifier."""


class NotLoadedError(LookupError):
    """The loader did not foresee that a command would look here: a bug of ours, found by the tests of the loader."""


class TooFewLoadedError(LookupError):
    """Something was not loaded that is rarely needed: loaded with more, the batch can be reduced.

    So many profiles have an address that not all were loaded, and who is meant depends on the others; or nobody looked
    whether anybody else has an address.
    """


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Holders of an e-mail address or a phone number that were not loaded. None of them changes in the batch."""

    #: Whether all of them have an external id, or none.
    identified: bool
    #: At least one.
    count: int
    #: All of them are newer than `oldest` and older than `newest`, compared by Profile.recency.
    oldest: tuple[int, int, int, str]
    newest: tuple[int, int, int, str]


class AddressBook:
    """The part of a state that is found by identifier or by address; a part of app.domain.state.State."""

    __slots__ = ("_complete", "_topics", "addresses", "changes", "index", "now_us", "recorded", "unloaded")

    def __init__(
        self,
        index: dict[Identifier, set[int]],
        addresses: Mapping[Address, AddressState | None],
        *,
        complete: bool,
    ) -> None:
        self._complete = complete
        self.index = index
        #: For an address with a great many holders: those that are in the workspace and not here.
        self.unloaded: dict[Identifier, list[Unloaded]] = {}
        self.addresses: dict[Address, AddressState | None] = {}
        #: Topics of every address that was loaded.
        self._topics: dict[ChannelAddress, set[str]] = {}
        self.changes = Changes()
        #: When the request in hand was accepted.
        self.now_us = 0
        #: Addresses of which something was recorded since an observer looked last.
        self.recorded: set[Address] = set()
        self.know(addresses)

    def holders(self, identifier: Identifier) -> set[int]:
        """Numbers of the profiles that have the identifier."""
        pids = self.index.get(identifier)
        if pids is None:
            if not self._complete:
                raise NotLoadedError("identifier")
            pids = self.index[identifier] = set()
        return pids

    def is_held(self, channel: int, address: str) -> bool:
        """Whether any profile has the address. Raises TooFewLoadedError when nobody looked."""
        identifier = (CHANNEL_KINDS[channel], "", address)
        if identifier not in self.index and not self._complete:
            raise TooFewLoadedError
        return bool(self.holders(identifier)) or identifier in self.unloaded

    def know(self, addresses: Mapping[Address, AddressState | None]) -> None:
        """Enter what is recorded of addresses: all topics of each, and the global one as None where nothing is."""
        for address, state in addresses.items():
            self.addresses[address] = state
            self._topics.setdefault(address[:2], set()).add(address[2])

    def knows(self, channel: int, address: str) -> bool:
        """Whether it was loaded what is recorded of an address."""
        return (channel, address) in self._topics

    def forget_addresses(self) -> None:
        """Take back all that is known of what is recorded."""
        self.addresses.clear()
        self._topics.clear()

    def address(self, address: Address) -> AddressState | None:
        """What is recorded of a topic of an address, None when nothing ever was, or when it is forgotten."""
        if address[:2] not in self._topics and not self._complete:
            raise NotLoadedError("address")
        return self._remembered(self.addresses.get(address))

    def topics(self, channel: int, address: str) -> dict[str, AddressState]:
        """All that is recorded of an address, by topic."""
        if (channel, address) not in self._topics and not self._complete:
            raise NotLoadedError("address")
        recorded = ((topic, self.addresses.get((channel, address, topic))) for topic in self._known(channel, address))
        return {topic: found for topic, state in recorded if (found := self._remembered(state)) is not None}

    def set_address(self, address: Address, state: AddressState | None) -> None:
        """Record a topic of an address that somebody has; None takes it back."""
        self.know({address: state})
        self.changes.addresses[address] = state
        self.recorded.add(address)

    def set_shared(self, address: Address, state: AddressState | None) -> None:
        """As `set_address` for an address that perhaps nobody has: then it is kept for ORPHAN_US."""
        if state is not None and not self.is_held(address[0], address[1]):
            state = replace(state, forget_us=self.now_us + ORPHAN_US)
        self.set_address(address, state)

    def _known(self, channel: int, address: str) -> list[str]:
        return sorted(self._topics.get((channel, address), ()))

    def _remembered(self, state: AddressState | None) -> AddressState | None:
        is_over = state is not None and state.forget_us is not None and state.forget_us <= self.now_us
        return None if is_over else state

    def _adopt(self, channel: int, address: str) -> None:
        """Somebody has the address now, and inherits what was recorded while nobody had it."""
        if (channel, address) not in self._topics and not self._complete:
            raise NotLoadedError("address")
        for topic in self._known(channel, address):
            state = self.addresses.get((channel, address, topic))
            if state is not None and state.forget_us is not None:
                kept = None if self._remembered(state) is None else replace(state, forget_us=None)
                self.set_address((channel, address, topic), kept)

    def _orphan(self, channel: int, address: str, forget_us: int | None) -> None:
        """Somebody gave the address up. If nobody has it now, what is recorded is kept until `forget_us`."""
        recorded = self.topics(channel, address)
        if recorded and not self.is_held(channel, address):
            until = self.now_us + ORPHAN_US if forget_us is None else forget_us
            for topic, state in recorded.items():
                self.set_address((channel, address, topic), replace(state, forget_us=until))

    def _forget(self, channel: int, address: str) -> None:
        """The last person who had the address was deleted."""
        self.changes.forgotten.add((channel, address))
        for topic in self._known(channel, address):
            self.addresses[channel, address, topic] = None
            self.changes.addresses.pop((channel, address, topic), None)

    def is_recorded(self, channel: int, address: str) -> bool:
        """Whether anything is recorded of an address, as far as it was loaded."""
        return any(self.addresses.get((channel, address, topic)) for topic in self._known(channel, address))

    def recorded_addresses(self) -> set[ChannelAddress]:
        """All addresses of which something is recorded."""
        return {address[:2] for address, state in self.addresses.items() if state is not None}
