"""What Redis remembers of the numbers that a database has given out, which the database itself cannot know once it was
put back to an earlier moment: see app.store.origin.

Key inventory: `<prefix>numbers:<key of the origin>` = hash of `<workspace>/<stream>` -> last number, and `back` -> "1"
once numbers were seen to be smaller than that. One is forgotten a month after nobody wrote to it.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError

from app.adapters.doorbell import client

_BACK: Final = b"back"
_KEPT_SECONDS: Final = 31 * 86_400
_Stream = TypeVar("_Stream", bound=tuple[int, int])


class RememberedNumbers:
    """Of databases, by the key of their origin. A stream is a workspace and one of its streams.

    Methods raise RedisError and OSError, where they do not say otherwise.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._redis: Any = client(url)
        self._prefix = prefix

    def read(self, key: str) -> tuple[dict[tuple[int, int], int], bool]:
        """{(workspace, stream): number}, and whether the database was once seen to be behind them."""
        found: dict[bytes, bytes] = self._redis.hgetall(self._name(key))
        back = found.pop(_BACK, None) is not None
        numbers = {}
        for name, value in found.items():
            workspace_id, _, stream = name.decode().partition("/")
            numbers[int(workspace_id), int(stream)] = int(value)
        return numbers, back

    def is_back(self, key: str) -> bool:
        """Whether the database was seen to be behind what is remembered; False where Redis does not answer."""
        try:
            return bool(self._redis.hexists(self._name(key), _BACK))
        except (RedisError, OSError):
            return False

    def write(self, key: str, numbers: Mapping[_Stream, int], gone: Collection[tuple[int, int]], *, back: bool) -> None:
        """Remember numbers, forget those of streams that are gone, and, once for all, that the database is `back`."""
        values: dict[bytes, int] = {_field(stream): number for stream, number in numbers.items()}
        pipe = self._redis.pipeline(transaction=False)
        if back:
            values[_BACK] = 1
        if values:
            pipe.hset(self._name(key), mapping=values)
        if gone:
            pipe.hdel(self._name(key), *map(_field, gone))
        pipe.expire(self._name(key), _KEPT_SECONDS)
        pipe.execute()

    def close(self) -> None:
        self._redis.close()

    def _name(self, key: str) -> str:
        return f"{self._prefix}numbers:{key}"


def _field(key: tuple[int, int]) -> bytes:
    return b"%d/%d" % key
