"""Characters that nobody sees: which of them a refused object holds, by code point.

A zero-width space from a spreadsheet, a byte order mark in front of the first column's name, a no-break space inside a
time: the sentence that refuses the object is right, and yet its reader sees nothing wrong in what was sent. So the
character is named behind the sentence, and never the text around it.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from app.contract.body import BROKEN_TEXT
from app.domain.custom_attributes import OUT_OF_RANGE

#: Characters of a text, and members of an object, that are looked at.
MAX_CHARACTERS: Final = 1_000
MAX_MEMBERS: Final = 1_000
_MAX_DEPTH: Final = 4

_QUOTED: Final = re.compile(r"'(?:#?[^']*/)?([^'/]+)'")
_CATEGORIES: Final = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))
#: Letters, marks and symbols that are drawn as nothing: fillers, joiners, selectors of variants, the blank of Braille.
_DRAWN_AS_NOTHING: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
#: Members whose text may be in any script. Any other one is a word or a number of the contract, so in ASCII.
_ANY_SCRIPT: Final = frozenset(
    (
        *("external_id", "braze_id", "user_alias", "alias_name", "alias_label", "old_alias_name", "new_alias_name"),
        *("current_external_id", "new_external_id", "external_ids", "email", "phone", "name", "product_id", "source"),
        *("email_address", "emails", "device_id"),
        *("order_id", "cart_id", "checkout_id", "cancel_reason", "product_name", "variant_id", "identifier_to_merge"),
        *("identifier_to_keep",),
    )
)


def is_invisible(character: str) -> bool:
    """Whether a character is neither drawn nor the ordinary blank."""
    if " " <= character <= "~":
        return False
    return unicodedata.category(character) in _CATEGORIES or _DRAWN_AS_NOTHING.match(character) is not None


def visible(text: str) -> str:
    """The text without invisible characters and without blanks around it."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return "".join(character for character in text if not is_invisible(character)).strip()


def explained(sentence: str, value: object, names: frozenset[str] | None = None) -> str:
    """The sentence that refuses a value; behind it the character that may be the cause, when there is one.

    `names`: members that the sentence is about; by default those that it has in quotes.
    """
    quoted = frozenset(_QUOTED.findall(sentence)) if names is None else names
    cause = next(_causes(value, quoted), None)
    return sentence if cause is None else f"{sentence.removesuffix('.')}. {cause}."


def _causes(value: object, names: frozenset[str]) -> Iterator[str]:
    for name, member in _members(value):
        seen = visible(name[:MAX_CHARACTERS])
        if seen not in names:
            continue
        if seen != name and (character := _odd(name, any_script=True)) is not None:
            yield f"The name of a member has {_named(character)}"
        for text in member if isinstance(member, list) else (member,):
            if text is BROKEN_TEXT:
                yield f"'{seen}' has half of a surrogate pair"
            elif text is OUT_OF_RANGE:
                yield f"'{seen}' has a number out of range"
            elif isinstance(text, str) and (character := _odd(text, any_script=seen in _ANY_SCRIPT)) is not None:
                yield f"'{seen}' has {_named(character)}"


def _members(value: object) -> Iterator[tuple[str, Any]]:
    """Members of the value and of objects inside, in the order of their depth, at most MAX_MEMBERS."""
    level = [value]
    left = MAX_MEMBERS
    for _ in range(_MAX_DEPTH):
        inner: list[object] = []
        for one in level:
            if isinstance(one, list):
                inner += one[:left]
            for name, member in one.items() if isinstance(one, dict) else ():
                yield name, member
                inner.append(member)
                left -= 1
                if left == 0:
                    return
        level = inner


def _odd(text: str, *, any_script: bool) -> str | None:
    """The first character that is not what it seems; None when all are."""
    text = text[:MAX_CHARACTERS]
    if text.isascii() and (text.isprintable() or text.isspace()):
        return None
    return next((each for each in text if is_invisible(each) or not (any_script or _is_itself(each))), None)


def _is_itself(character: str) -> bool:
    """Whether a character does not look like one of ASCII that it is not: a hyphen, or a wide letter or digit."""
    if character.isascii():
        return True
    return unicodedata.category(character) != "Pd" and not unicodedata.normalize("NFKC", character).isascii()


def _named(character: str) -> str:
    """A character by its code point, and by its name where it has one."""
    kind = "the invisible character" if is_invisible(character) else "the character"
    name = unicodedata.name(character, "")
    return f"{kind} U+{ord(character):04X}" + (f" ({name})" if name else "")
