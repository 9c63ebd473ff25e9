"""What keeps one careless identifier from folding a whole user base into one profile.

Clients send the text of a missing value as an identifier: `null`, `undefined`, `[object Object]`. Everybody without a
login then seems to be one person, and a merge cannot be taken apart by hand.
"""

from typing import Final

from app.domain.identifiers import DEVICE_KINDS, identifiers_of
from app.domain.profile import (
    ALIAS,
    DEPRECATED,
    EXTERNAL,
    GLOBAL_CONTROL_GROUP,
    MARKED_FOR_DELETION,
    PHONE,
    SPAM_BLOCKED,
    Identifier,
    Profile,
)
from app.domain.reasons import (
    BEING_DELETED,
    IN_CONTROL_GROUP,
    PROFILE_BLOCKED,
    SELF_MERGE,
    TOO_MANY_IDENTIFIERS,
    TOO_MANY_MERGES,
)
from app.domain.settings import ApplySettings

#: Identifiers that are somebody's missing value, compared without case and surrounding blanks.
DEFAULT_JUNK: Final = frozenset(
    (
        "", "-", "-1", "0", "00000000-0000-0000-0000-000000000000", "<null>", "(null)", "[]", "[object object]", "{}",
        "anonymous", "default", "distinct_id", "distinctid", "email", "empty", "external_id", "externalid", "false",
        "guest", "id", "n/a", "na", "nan", "nil", "none", "not_authenticated", "null", "true", "undefined",
        "unidentified", "unknown", "user_id", "userid",
    )
)  # fmt: skip


def is_junk(identifier: Identifier, settings: ApplySettings) -> bool:
    """Whether an external id or the name of an alias stands for nobody in particular.

    The settings may replace the list. An e-mail address or a phone number is never junk.
    """
    kind, _, value = identifier
    if kind not in (EXTERNAL, DEPRECATED, ALIAS):
        return False
    text = value.strip().casefold()
    if settings.junk_identifiers is None:
        return text in DEFAULT_JUNK
    return any(text == junk.strip().casefold() for junk in settings.junk_identifiers)


#: What people type who have no address or do not give it: names before the @, and ends of domains that nobody has.
_NO_NAMES: Final = frozenset(
    (
        "aaa", "abc", "anonymous", "asdf", "donotreply", "email", "example", "guest", "invalid", "mail", "na", "no",
        "no-email", "no-mail", "no-reply", "nobody", "noemail", "nomail", "none", "noreply", "null", "test",
        "undefined", "unknown", "user", "xxx",
    )
)  # fmt: skip
_NO_DOMAINS: Final = (".invalid", ".test", ".localhost", ".local")
#: So many equal digits at the end of a number, or these.
_EQUAL_DIGITS: Final = 7
_NO_NUMBERS: Final = ("1234567", "12345678", "123456789", "1234567890")


def is_placeholder(identifier: Identifier, settings: ApplySettings) -> bool:
    """Whether an e-mail address or a phone number stands for nobody in particular: merge rules leave it alone.

    The settings may replace the list by addresses, numbers, `name@` for any domain, and `@domain`.
    """
    kind, _, value = identifier
    if settings.placeholder_addresses is None:
        if kind == PHONE:
            return len(set(value[-_EQUAL_DIGITS:])) == 1 or value.endswith(_NO_NUMBERS)
        name, _, domain = value.rpartition("@")
        return name.partition("+")[0] in _NO_NAMES or f".{domain}".endswith(_NO_DOMAINS)
    name, _, domain = value.rpartition("@")
    spellings = {value, f"{name}@", f"@{domain}"} if kind != PHONE else {value}
    return any(text.strip().casefold() in spellings for text in settings.placeholder_addresses)


def refusal(kept: Profile, merged: Profile, settings: ApplySettings) -> str | None:
    """Why a profile may not be merged into another one, None when it may. Both have the section `core`."""
    if kept.pid == merged.pid:
        return SELF_MERGE
    flags = kept.flags | merged.flags
    if flags & GLOBAL_CONTROL_GROUP:
        return IN_CONTROL_GROUP
    if flags & MARKED_FOR_DELETION:
        return BEING_DELETED
    if flags & SPAM_BLOCKED:
        return PROFILE_BLOCKED
    if merges(kept) + merges(merged) + 1 > settings.max_merges_per_profile:
        return TOO_MANY_MERGES
    if len(_names(kept) | _names(merged)) > settings.max_identifiers_per_profile:
        return TOO_MANY_IDENTIFIERS
    return None


def is_full(profile: Profile, settings: ApplySettings) -> bool:
    """Whether a profile may get no further identifier."""
    return len(_names(profile)) >= settings.max_identifiers_per_profile


def _names(profile: Profile) -> set[Identifier]:
    """What the bound of identifiers counts."""
    return {key for key in identifiers_of(profile) if key[0] not in DEVICE_KINDS}


def has_room(profile: Profile, grown: int, settings: ApplySettings) -> bool:
    """Whether a write may make a profile larger by so many bytes. One that does not is always done."""
    return grown <= 0 or profile.size + grown <= settings.max_profile_bytes


def may_hold(profile: Profile, grown: int, settings: ApplySettings) -> bool:
    """Whether a merge may make a profile larger by so many bytes. It may go beyond the bound, since what was merged
    cannot be sent again."""
    return grown <= 0 or profile.size + grown <= 2 * settings.max_profile_bytes


def merges(profile: Profile) -> int:
    """How many profiles were merged into this one, directly or not."""
    count = (profile.core or {}).get("merges", 0)
    return count if isinstance(count, int) else 0
