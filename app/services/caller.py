"""Who calls: a key and its workspace, with what follows from their settings."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

from app.contract import request_id
from app.contract.track import Limits
from app.services.networks import Network, parse_networks
from app.services.permissions import PERMISSIONS
from app.services.quotas import Quota, objects_of, quota_of
from app.store.keys import KeyRecord


@dataclass(frozen=True)  # without slots: a cached property needs a place in the object
class Caller(KeyRecord):
    """A live key. What is made of its settings is made once and kept as long as the look-up is."""

    @classmethod
    def of(cls, record: KeyRecord) -> "Caller":
        """The caller whose key this is."""
        return cls(**{member.name: getattr(record, member.name) for member in fields(record)})

    @classmethod
    def operator(cls, record: KeyRecord, name: str) -> "Caller":
        """The operator of the installation: no key, every permission. Histories show `name`."""
        return replace(cls.of(record), key_name=name, permissions=frozenset(PERMISSIONS))

    def request_id(self, stream: int, seq: int) -> str:
        """The id by which the workspace knows a request."""
        return request_id.make(self.workspace_secret, self.workspace_id, stream, seq)

    def place(self, identifier: str) -> tuple[int, int] | None:
        """(stream, number) of a request by its id; None for an id that the workspace was never given."""
        return request_id.read(self.workspace_secret, self.workspace_id, identifier)

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
