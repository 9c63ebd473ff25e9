"""E-mail addresses and phone numbers: what a client sent, made comparable (attributes.md, sections 2 and 3).

Two texts with the same result address the same person's inbox or phone. The rules are strict where a mistake would join
two people: no NFKC, no look-alike folding, no dropping of dots or plus parts (DECISIONS D23).
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, ValidatedEmail, validate_email

MAX_EMAIL_BYTES: Final = 254
_MAX_LABEL: Final = 63
MAX_PHONE_DIGITS: Final = 15
#: Region of a phone number without a `+`, as a two-letter code, where a workspace does not say another.
DEFAULT_REGION: Final = "US"
#: Option of a workspace that says another.
REGION_OPTION: Final = "default_phone_region"
_MAX_PHONE_TEXT: Final = 100  # with any separators; longer is not worth a place in the cache

# Most addresses, and only such as the long way returns lower-cased and otherwise unchanged: ASCII, plain atoms, labels
# without `--` (so no Punycode), a top level of letters. The length keeps every part within its own limit.
# No possessive quantifiers: Python before 3.11.5, Debian's among them, matches too much with them.
_PLAIN: Final = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,}"
).fullmatch
_PLAIN_LENGTH: Final = 64

# Syntax is all we judge: `.test`, `.local` and the like are fine for tests and intranets. The library refuses them, so
# such a domain is shown to it with an ordinary ending.
_SPECIAL: Final = frozenset(SPECIAL_USE_DOMAIN_NAMES)
_ORDINARY_ENDING: Final = ".example"
_PLAIN_DOMAIN: Final = "a.example"
_DOTS: Final = re.compile(r"\.{2,}")
_HYPHENS: Final = re.compile(r"-{2,}")

_NO_DIGITS: Final = re.compile(r"[^0-9]+")

# What libphonenumber skips inside a number; a tilde is left out, since it also takes that for an extension.
_PHONE_PUNCTUATION: Final = frozenset(
    "-./()[]\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\uff0d\uff0e\uff0f\uff08\uff09\uff3b\uff3d"
)


def email(text: str) -> str | None:
    """The comparable address: trimmed, NFC, lower-case, domain in its ASCII (IDNA) form. None when it is malformed.

    Quoted local parts, address literals, display names and domains without a dot are refused, and so is a domain that
    is only a compatibility spelling of another (full-width letters, ignored characters), or more than 254 bytes.
    Dots anywhere in the local part and `--` in a label of the domain are taken (DECISIONS D67): such addresses exist.
    """
    if len(text) <= _PLAIN_LENGTH and _PLAIN(text) is not None:
        return text.lower()
    if len(text) > 4 * MAX_EMAIL_BYTES:  # not worth a place in the cache
        return None
    return _email(text)


def is_email(text: str) -> bool:
    """Whether `email` finds an address."""
    return (len(text) <= _PLAIN_LENGTH and _PLAIN(text) is not None) or email(text) is not None


@lru_cache(maxsize=8192)
def _email(text: str) -> str | None:
    text = _folded(text)
    local, at, domain = text.rpartition("@")
    if not at or "@" in local or "." not in domain:
        return None
    host = _host(domain)
    # The library judges the local part: it is shown a twin without the dots that it refuses.
    twin_local = _DOTS.sub(".", local).strip(".")
    if host is None or _validated(f"{twin_local}@{_PLAIN_DOMAIN}") is None:
        return None
    address = f"{local}@{host}"
    return address if len(address.encode()) <= MAX_EMAIL_BYTES else None


@lru_cache(maxsize=8192)
def _host(domain: str) -> str | None:
    """The domain in its ASCII form, None when it is malformed. It takes longer to find than all else of an address."""
    # The library is shown a twin without the hyphens that it refuses.
    labels = domain.split(".")
    twin_labels = [_HYPHENS.sub("-", label) if label.isascii() and label[:4] != "xn--" else label for label in labels]
    ending = _ORDINARY_ENDING if labels[-1] in _SPECIAL else ""
    twin = ".".join(twin_labels) + ending
    valid = _validated(f"a@{twin}")
    if valid is None or valid.ascii_domain is None or twin not in (valid.domain, valid.ascii_domain):
        return None
    ascii_labels = valid.ascii_domain.removesuffix(ending).split(".")
    host = ".".join(
        sent if sent != twin_label else checked
        for sent, twin_label, checked in zip(labels, twin_labels, ascii_labels, strict=True)
    )
    return host if max(map(len, host.split("."))) <= _MAX_LABEL else None


def _validated(text: str) -> ValidatedEmail | None:
    try:
        return validate_email(text, check_deliverability=False, allow_quoted_local=False)
    except EmailNotValidError:
        return None


def _folded(text: str) -> str:
    # Lower-casing may undo the composition ("İ" becomes two characters), hence the second one.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).lower())


def local_part(text: str) -> str:
    """What stands before the `@` of `email(text)`, if that is an address: found without reading the domain."""
    return _folded(text).rpartition("@")[0] if len(text) <= 4 * MAX_EMAIL_BYTES else ""


def region(text: str) -> str | None:
    """The code of a region with phone numbers of its own, upper-case. None for any other text."""
    code = text.upper()
    return code if code in phonenumbers.SUPPORTED_REGIONS else None


def region_of(options: Mapping[str, Any]) -> str:
    """The region of phone numbers without a `+` in a workspace with these options."""
    region: str = options.get(REGION_OPTION, DEFAULT_REGION)
    return region


def phone(text: str, region: str = DEFAULT_REGION) -> str | None:
    """The number in E.164, or None when it is not a valid number. `region` is meant where there is no `+`.

    After `+` everything but digits is dropped. Without it everything is dropped that libphonenumber skips (blanks,
    dots, hyphens, brackets and their relatives, invisible marks); all else must be digits. Digits of any script count.
    Letters and extensions are refused: those name another line. Valid is what the numbering plans in the phonenumbers
    library assign.
    """
    return _phone(text, region) if len(text) <= _MAX_PHONE_TEXT else None


def ends_like(text: str, tails: tuple[str, ...]) -> bool:
    """Whether `phone(text)`, if that is a number, may end with one of these digits: found without reading it."""
    if len(text) > _MAX_PHONE_TEXT:
        return False
    return (_NO_DIGITS.sub("", text) if text.isascii() else _digits(text)).endswith(tails)


@lru_cache(maxsize=8192)
def _phone(text: str, region: str) -> str | None:
    text = text.strip()
    if text[:4].lower() == "tel:":
        text = text[4:]
    number = "".join(filter(_is_part_of_number, text))
    if number[:1] in ("+", "\uff0b"):
        number = "+" + _digits(number)
    elif number.isdecimal():
        number = _digits(number)
    else:
        return None
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return e164 if len(e164) <= MAX_PHONE_DIGITS + 1 else None


def _is_part_of_number(character: str) -> bool:
    return character not in _PHONE_PUNCTUATION and unicodedata.category(character) not in ("Zs", "Zl", "Zp", "Cf", "Cc")


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(character)) for character in text if character.isdecimal())
