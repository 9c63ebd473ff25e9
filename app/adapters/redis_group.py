"""What sentinels say of the servers that they watch, for `onefold doctor`."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.sentinels import Sentinels

_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A group of servers, as far as its sentinels answer."""

    #: Sentinels that were asked, and those of them that know the group.
    asked: int
    answering: int
    #: Servers that could take the primary's place: the least that a sentinel knows of.
    replicas: int

    @property
    def can_fail_over(self) -> bool:
        """Whether most sentinels answer, which takes a majority, and there is a server to take the primary's place."""
        return 2 * self.answering > self.asked and self.replicas > 0


def look(found: Sentinels) -> Watched:
    """Ask each sentinel, at most a second each. Never raises what Redis raises."""
    told = [said for host, port in found.hosts if (said := _ask(found, host, port)) is not None]
    return Watched(len(found.hosts), len(told), min((int(said["num-slaves"]) for said in told), default=0))


def _ask(found: Sentinels, host: str, port: int) -> dict[str, Any] | None:
    options = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS, "retry": Retry(NoBackoff(), 0)}
    with closing(redis.Redis(host=host, port=port, **found.asking(options))) as client:
        try:
            said: Any = client.sentinel_master(found.group)
        except (redis.RedisError, OSError):
            return None
    return dict(said)
