"""Passwords of the console: made, hashed with scrypt and a salt, and compared."""

import hashlib
import secrets
from base64 import b64decode, b64encode
from hmac import compare_digest
from typing import Final

#: Characters of a password that somebody chose.
SHORTEST: Final = 12
LONGEST: Final = 256

#: Costs of scrypt (RFC 7914): 16 MB, and about 0.2 s of one core. OWASP's Password Storage Cheat Sheet, 2025.
_N_LOG2: Final = 14
_R: Final = 8
_P: Final = 5
_SCHEME: Final = "scrypt"


class InvalidPasswordError(ValueError):
    """The message says what a password can be."""


def new() -> str:
    """A password of 144 random bits."""
    return secrets.token_urlsafe(18)


def checked(password: str) -> str:
    """The password. Raises InvalidPasswordError for one that is guessed, or that no form sends as it is."""
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable() or password != password.strip():
        raise InvalidPasswordError(
            f"A password has {SHORTEST} to {LONGEST} printable characters, without blanks around them."
        )
    return password


def hashed(password: str) -> str:
    """What is stored of a password: the costs, a salt, and the hash."""
    salt = secrets.token_bytes(16)
    parts = (_SCHEME, str(_N_LOG2), str(_R), str(_P), _text(salt), _text(_hash(password, salt, _N_LOG2, _R, _P)))
    return "$".join(parts)


def matches(password: str, stored: str) -> bool:
    """Whether it is this password. It takes long on purpose, also where `stored` is empty because there is no account:
    so the time tells nothing."""
    scheme, _, rest = stored.partition("$")
    if scheme != _SCHEME:
        _hash(password, bytes(16), _N_LOG2, _R, _P)
        return False
    n_log2, r, p, salt, digest = rest.split("$")
    found = _hash(password, b64decode(salt), int(n_log2), int(r), int(p))
    return compare_digest(found, b64decode(digest))


def _hash(password: str, salt: bytes, n_log2: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "replace")
    return hashlib.scrypt(data, salt=salt, n=2**n_log2, r=r, p=p, maxmem=64 * 2**20, dklen=32)


def _text(data: bytes) -> str:
    return b64encode(data).decode()
