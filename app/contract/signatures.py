"""Signatures of SDK authentication: JSON Web Tokens with RS256 (RFC 7515, 7519; RSASSA-PKCS1-v1_5 of RFC 8017).

Only verification, with a public key: it holds no secret, so no time can tell one. The signed block is made anew and
compared as a whole, and nothing of what was signed is parsed, which is what has gone wrong elsewhere. So forty lines
stand for a library of C.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

MAX_TOKEN: Final = 8_192
MIN_BITS: Final = 2_048
MAX_BITS: Final = 4_096

#: DER of a DigestInfo of SHA-256, but for the digest (RFC 8017, 9.2).
_DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")
#: DER of the algorithm rsaEncryption with its NULL.
_RSA: Final = bytes.fromhex("06092a864886f70d0101010500")
_BEGIN: Final = "-----BEGIN PUBLIC KEY-----"
_END: Final = "-----END PUBLIC KEY-----"
_SEQUENCE: Final = 0x30
_BITS: Final = 0x03
_INTEGER: Final = 0x02


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA key."""

    modulus: int
    exponent: int

    @property
    def bytes(self) -> int:
        return (self.modulus.bit_length() + 7) // 8


def read_key(pem: str) -> PublicKey:
    """A public key as `openssl rsa -pubout` writes it. Raises ValueError."""
    text = "".join(pem.split("\n")).strip()
    if not text.startswith(_BEGIN) or not text.endswith(_END):
        raise ValueError("not a public key")
    der = base64.b64decode(text[len(_BEGIN) : -len(_END)].replace("\r", "").strip(), validate=True)
    outer, rest = _value(der, _SEQUENCE)
    algorithm, behind = _value(outer, _SEQUENCE)
    bits, nothing = _value(behind, _BITS)
    if rest or nothing or algorithm != _RSA or bits[:1] != b"\0":
        raise ValueError("not an RSA key")
    pair, rest = _value(bits[1:], _SEQUENCE)
    modulus, behind = _value(pair, _INTEGER)
    exponent, nothing = _value(behind, _INTEGER)
    key = PublicKey(int.from_bytes(modulus), int.from_bytes(exponent))
    if rest or nothing or not MIN_BITS <= key.modulus.bit_length() <= MAX_BITS or key.exponent < 3:
        raise ValueError("not a key of 2,048 to 4,096 bits")
    if key.exponent % 2 == 0 or key.exponent >= 1 << 32 or key.modulus % 2 == 0:
        raise ValueError("not an RSA key")
    return key


def subject(token: str, keys: Iterable[PublicKey], now_seconds: float) -> str | None:
    """Whose token it is: `sub` of one that is signed by one of the keys and has not expired. None for any other."""
    parts = token.split(".") if len(token) <= MAX_TOKEN and token.isascii() else []
    if len(parts) != 3:
        return None
    try:
        header, payload, signature = (_decoded(part) for part in parts)
        told, claims = msgspec.json.decode(header), msgspec.json.decode(payload)
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("alg") != "RS256" or not isinstance(claims, dict) or "crit" in told:
        return None
    signed = f"{parts[0]}.{parts[1]}".encode()
    if not any(_is_signed(signed, signature, key) for key in keys):
        return None
    if not _is_number(claims.get("exp")) or claims["exp"] <= now_seconds:
        return None
    if claims.get("nbf") is not None and not (_is_number(claims["nbf"]) and claims["nbf"] <= now_seconds):
        return None
    found = claims.get("sub")
    return found if isinstance(found, str) and found else None


def _is_signed(signed: bytes, signature: bytes, key: PublicKey) -> bool:
    if len(signature) != key.bytes or int.from_bytes(signature) >= key.modulus:
        return False
    block = pow(int.from_bytes(signature), key.exponent, key.modulus).to_bytes(key.bytes)
    end = b"\0" + _DIGEST_INFO + sha256(signed).digest()
    return block == b"\0\1" + b"\xff" * (key.bytes - 2 - len(end)) + end


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """(value, what is behind it) of the first element of DER, which has to have this tag. Raises ValueError."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("not a public key")
    length, begin = der[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[2:begin])
    if begin > 6 or begin + length > len(der):
        raise ValueError("not a public key")
    return der[begin : begin + length], der[begin + length :]
