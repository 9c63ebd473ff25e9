"""Who calls: a key and its workspace, with what follows from their settings."""

from dataclasses import dataclass, fields
from functools import cached_property

from app.contract.track import Limits
from app.services.networks import Network, parse_networks
from app.services.quotas import Quota, objects_of, quota_of
from app.store.keys import KeyRecord


@dataclass(frozen=True)  # without slots: a cached property needs a place in the object
class Caller(KeyRecord):
    """A live key. What is made of its settings is made once and kept as long as the look-up is."""

    @classmethod
    def of(cls, record: KeyRecord) -> "Caller":
        """The caller whose key this is."""
        return cls(**{member.name: getattr(record, member.name) for member in fields(record)})

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """From where the key may be used; empty = from anywhere."""
        return parse_networks(self.ip_allowlist)

    @cached_property
    def objects(self) -> Limits:
        """Objects that one request to /users/track may carry."""
        return objects_of(self)

    @cached_property
    def _quotas(self) -> dict[tuple[str, bool], Quota]:
        return {}

    def quota(self, group: str, *, ietf: bool = False) -> Quota:
        """What the key may call of a group of endpoints. With `ietf` answers carry RateLimit-Policy."""
        quota = self._quotas.get((group, ietf))
        if quota is None:
            quota = self._quotas[group, ietf] = quota_of(self, group, ietf=ietf)
        return quota
