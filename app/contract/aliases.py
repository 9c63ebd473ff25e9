"""POST /users/alias/new and /users/alias/update: from bytes to commands and the answer (spec aliases.md 2 and 3)."""

from collections.abc import Callable
from typing import Any, Final

from app.contract import body as bodies
from app.contract import elements, identifiers
from app.contract.checked import Checked, commands_checked
from app.contract.elements import MAX_ELEMENTS, T
from app.contract.errors import RefusedError
from app.domain.commands import NewAlias, UpdateAlias

NEW: Final = "user_aliases"
UPDATES: Final = "alias_updates"


def check_new(body: bytes) -> Checked:
    """Check a request to /users/alias/new. Raises RefusedError when nothing of it can be processed."""
    return _check(body, NEW, "user aliases", _new)


def check_update(body: bytes) -> Checked:
    """Check a request to /users/alias/update. Raises RefusedError when nothing of it can be processed."""
    return _check(body, UPDATES, "alias updates", _update)


def _check(body: bytes, name: str, noun: str, read: Callable[[str, dict[str, Any], int], T]) -> Checked:
    document = bodies.parse_object(body) or {}
    array = elements.arrays(document, {name: "objects"}).get(name)
    if array is None:
        raise elements.refused(elements.no_array(name), document)
    if len(array) > MAX_ELEMENTS:
        raise RefusedError(400, f"a single request may not contain more than {MAX_ELEMENTS} {noun}")
    commands, errors = elements.read_all({name: array}, read)
    answer = elements.answer(
        "aliases_processed", commands, errors, f"Valid data must be provided in the '{name}' field."
    )
    return commands_checked(commands, answer, errors)


def _new(_name: str, element: dict[str, Any], index: int) -> NewAlias:
    sent = element.get("external_id")
    external_id = identifiers.external_id(sent) if identifiers.is_sent(sent) else None
    # Recorded traffic has the alias as an object inside (D39).
    nested = element.get("user_alias")
    label, name = identifiers.alias(nested if elements.is_sent(nested) else element)
    return NewAlias(index, external_id, label, name)


def _update(_name: str, element: dict[str, Any], index: int) -> UpdateAlias:
    label, old = _pair(element, "old_alias_name")
    _, new = _pair(element, "new_alias_name")
    return UpdateAlias(index, label, old, new)


def _pair(element: dict[str, Any], name: str) -> tuple[str, str]:
    return identifiers.alias(
        {"alias_label": element.get("alias_label"), "alias_name": element.get(name)},
        f"'alias_label' and '{name}' must be non-empty strings",
    )
