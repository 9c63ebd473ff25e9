"""What would be recorded of addresses without some of the merges that changed it."""

from dataclasses import replace

from app.domain.merging.consents import TopicsOf, consents
from app.domain.merging.plan import Consent, MergePlan
from app.domain.profile import Address, AddressState


class AddressesWithout:
    """What is recorded, and beside it what would be. Merges are taken back from the last one down, and redone up."""

    def __init__(self, topics_of: TopicsOf) -> None:
        self._topics_of = topics_of
        #: Where it would be something else; None is nothing.
        self.differing: dict[Address, AddressState | None] = {}
        #: Of each merge the addresses that had its state.
        self._taken: dict[str, set[Address]] = {}

    def take_back(self, merge_id: str, plan: MergePlan) -> None:
        """Without this merge. An address that has another state by now keeps it."""
        taken = self._taken[merge_id] = set()
        for consent in consents(plan):
            now = self._at(consent.address)
            # Perhaps nobody has the address at present: that says nothing about who set its state.
            if now is not None and replace(now, forget_us=None) == consent.after:
                self.differing[consent.address] = consent.before
                taken.add(consent.address)

    def redo(self, merge_id: str, told: MergePlan, instead: MergePlan, plan: MergePlan) -> tuple[Consent, ...]:
        """With this merge again, which was `plan`, and would be `instead` where it is `told` now: what it changes."""
        was, is_ = ({each.address: each for each in consents(one)} for one in (told, instead))
        result = {each.address: each for each in consents(plan)}
        redone = set(self._taken[merge_id])
        for address in dict.fromkeys([*was, *is_]):
            one, other = was.get(address), is_.get(address)
            if other is None:
                result.pop(address, None)
            elif one is None or one.after != other.after:
                redone |= set() if address in result else {address}
                result[address] = other
        for address, consent in result.items():
            if address in redone:
                result[address] = replace(consent, before=self._at(address))
                self.differing[address] = consent.after
        return tuple(result.values())

    def copy(self) -> "AddressesWithout":
        """As it is, to look at while this one goes on."""
        copied = AddressesWithout(self._topics_of)
        copied.differing = dict(self.differing)
        return copied

    def topics(self, channel: int, address: str) -> dict[str, AddressState]:
        """All that would be recorded of an address, by topic."""
        found = dict(self._topics_of(channel, address))
        for (its_channel, its_address, topic), state in self.differing.items():
            if (its_channel, its_address) == (channel, address):
                found.pop(topic, None)
                if state is not None:
                    found[topic] = state
        return found

    def _at(self, address: Address) -> AddressState | None:
        if address in self.differing:
            return self.differing[address]
        return self._topics_of(*address[:2]).get(address[2])
