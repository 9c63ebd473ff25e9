"""Names that operators give to workspaces, companies and keys."""

from typing import Final

LONGEST: Final = 255


class InvalidNameError(ValueError):
    """Nothing can have this name. The message says what a name is."""


def checked(name: str) -> str:
    """The name. Raises InvalidNameError for one that no list could show, or no database hold."""
    if not name.strip() or len(name) > LONGEST or not name.isprintable():
        raise InvalidNameError(f"A name has 1 to {LONGEST} printable characters, and not only blanks.")
    return name
