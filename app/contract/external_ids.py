"""POST /users/external_ids/rename and /remove: the result of every item is answered (spec export-delete-rename.md 4).

Both are answered once they are applied. An item that is malformed has its result at once; the others have theirs in
the problems that applying them left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.contract import body as bodies
from app.contract import elements, identifiers, invisible
from app.contract.checked import Checked, commands_checked
from app.contract.elements import MAX_ELEMENTS
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.domain import reasons
from app.domain.commands import RemoveExternalId, RenameExternalId

RENAMES: Final = "external_id_renames"
REMOVALS: Final = "external_ids"
NOT_TEXT: Final = "external ids must be non-empty strings"
_MEMBERS: Final = {"current_external_id", "new_external_id"}

#: What an item's problem is called in an answer.
_RENAME_ERRORS: Final = {
    reasons.EXTERNAL_ID_NOT_FOUND: "current_external_id does not exist",
    reasons.EXTERNAL_ID_DEPRECATED: "current_external_id is deprecated",
    reasons.EXTERNAL_ID_UNCHANGED: "new_external_id must differ from current_external_id",
    reasons.EXTERNAL_ID_TAKEN: "new_external_id is already in use",
    reasons.TOO_MANY_IDENTIFIERS: "the profile has too many identifiers, remove former external ids first",
}
_REMOVAL_ERRORS: Final = {
    reasons.EXTERNAL_ID_NOT_FOUND: "external_id does not exist",
    reasons.EXTERNAL_ID_NOT_DEPRECATED: "external_id is not deprecated",
}

#: (input_array, index, field, reason)
Problems = Iterable[tuple[str, int, str, str]]


@dataclass(frozen=True, slots=True)
class Renames:
    """Renames to apply, and the texts of those that are malformed, by index."""

    commands: list[RenameExternalId]
    refused: dict[int, str]

    @property
    def checked(self) -> Checked:
        """What goes to the inbox. There is at least one command."""
        return commands_checked(self.commands)

    @property
    def errors(self) -> tuple[ObjectError, ...]:
        """Those that are malformed."""
        return tuple(ObjectError(NOT_TEXT, RENAMES, index) for index in sorted(self.refused))

    def answer(self, problems: Problems) -> bytes:
        """The answer, from the problems of the applied request."""
        failed = _failed(self.refused, problems, _RENAME_ERRORS)
        for command in self.commands:
            if failed.get(command.index) == _RENAME_ERRORS[reasons.EXTERNAL_ID_NOT_FOUND]:
                failed[command.index] = _explained(failed[command.index], "current_external_id", command.current)
        done = [
            {"current_external_id": command.current, "new_external_id": command.new}
            for command in self.commands
            if command.index not in failed
        ]
        return _answer({"external_ids": done, "rename_errors": sorted(failed.items())})


@dataclass(frozen=True, slots=True)
class Removals:
    """External ids to remove, and the texts of those that are malformed, by index."""

    commands: list[RemoveExternalId]
    refused: dict[int, str]

    @property
    def checked(self) -> Checked:
        """What goes to the inbox. There is at least one command."""
        return commands_checked(self.commands)

    @property
    def errors(self) -> tuple[ObjectError, ...]:
        """Those that are malformed."""
        return tuple(ObjectError(NOT_TEXT, REMOVALS, index) for index in sorted(self.refused))

    def answer(self, problems: Problems) -> bytes:
        """The answer, from the problems of the applied request."""
        failed = _failed(self.refused, problems, _REMOVAL_ERRORS)
        for command in self.commands:
            if failed.get(command.index) == _REMOVAL_ERRORS[reasons.EXTERNAL_ID_NOT_FOUND]:
                failed[command.index] = _explained(failed[command.index], "external_id", command.external_id)
        done = [command.external_id for command in self.commands if command.index not in failed]
        return _answer({"removed_ids": done, "removal_errors": sorted(failed.items())})


def read_renames(body: bytes) -> Renames:
    """Raises RefusedError."""
    array = _array(body, RENAMES, "objects", "external id renames")
    if not all(isinstance(element, dict) for element in array):
        raise RefusedError(400, elements.no_array(RENAMES))
    odd = next((element for element in array if element.keys() != _MEMBERS), None)
    if odd is not None:
        raise elements.refused(f"'{RENAMES}' must only have 'current_external_id' and 'new_external_id'", odd)
    commands: list[RenameExternalId] = []
    refused: dict[int, str] = {}
    for index, element in enumerate(array):
        try:
            current, new = (_external_id(element[name]) for name in sorted(_MEMBERS))
            commands.append(RenameExternalId(index, current, new))
        except ObjectRefusedError:
            refused[index] = invisible.explained(NOT_TEXT, element, frozenset(_MEMBERS))
    return Renames(commands, refused)


def read_removals(body: bytes) -> Removals:
    """Raises RefusedError."""
    commands: list[RemoveExternalId] = []
    refused: dict[int, str] = {}
    for index, element in enumerate(_array(body, REMOVALS, "strings", "external ids")):
        try:
            commands.append(RemoveExternalId(index, _external_id(element)))
        except ObjectRefusedError:
            refused[index] = _explained(NOT_TEXT, "external_id", element)
    return Removals(commands, refused)


def _array(body: bytes, name: str, form: str, noun: str) -> list[Any]:
    document = bodies.parse_object(body) or {}
    array = elements.arrays(document, {name: form}).get(name)
    if array is None:
        raise elements.refused(elements.no_array(name, form), document)
    if len(array) > MAX_ELEMENTS:
        raise RefusedError(400, f"a single request may not contain more than {MAX_ELEMENTS} {noun}")
    return array


def _external_id(value: object) -> str:
    return identifiers.external_id(elements.sound(value))


def _explained(sentence: str, name: str, value: object) -> str:
    return invisible.explained(sentence, {name: value}, frozenset((name,)))


def _failed(refused: dict[int, str], problems: Problems, texts: dict[str, str]) -> dict[int, str]:
    return refused | {index: texts[reason] for _, index, _, reason in problems}


def _answer(results: dict[str, Sequence[object]]) -> bytes:
    return msgspec.json.encode(results | {"message": "success"})
