"""What the endpoints about identity share: arrays of a body, their elements, and the answer.

Only valid elements are stored, as commands. The others are named in the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from app.contract import body as bodies
from app.contract import invisible
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.domain.commands import Command
from app.domain.resolve import IDENTIFIED, LEAST_RECENTLY_UPDATED, MOST_RECENTLY_UPDATED, UNIDENTIFIED

#: Elements that one request may carry, in all its arrays together.
MAX_ELEMENTS: Final = 50

REQUIRED_PRIORITIZATION: Final = "'prioritization' is required"
BAD_PRIORITIZATION: Final = "'prioritization' is not valid"
NO_PRIORITIZATION_ARRAY: Final = f"{BAD_PRIORITIZATION}: it must be an array"

_RULES: Final = frozenset((IDENTIFIED, UNIDENTIFIED, MOST_RECENTLY_UPDATED, LEAST_RECENTLY_UPDATED))
_CONTRADICTIONS: Final = (
    {IDENTIFIED, UNIDENTIFIED},
    {MOST_RECENTLY_UPDATED, LEAST_RECENTLY_UPDATED},
)

T = TypeVar("T", bound=Command)


def is_sent(value: object) -> bool:
    """Whether an array or a selector counts as sent: null and [] do not."""
    return value is not None and value != []


def arrays(document: dict[str, Any], forms: Mapping[str, str]) -> dict[str, list[Any]]:
    """The arrays of these names that are sent. `forms`: what each holds, `objects` or `strings`.

    Raises RefusedError, which names the first member that is no array. What PHP makes of an array with a gap,
    `{"0": …, "2": …}`, is none, and is not guessed (DECISIONS D63).
    """
    found: dict[str, list[Any]] = {}
    for name, form in forms.items():
        value = document.get(name)
        if not is_sent(value):
            continue
        if not isinstance(value, list):
            raise RefusedError(400, no_array(name, form))
        found[name] = value
    return found


def no_array(name: str, form: str = "objects") -> str:
    """The sentence about a member that is no array."""
    return f"'{name}' must be an array of {form}"


def refused(
    sentence: str, value: object, errors: Sequence[ObjectError] = (), names: frozenset[str] | None = None
) -> RefusedError:
    """The refusal of a whole request, with the invisible character that may be its cause (`invisible.explained`)."""
    return RefusedError(400, invisible.explained(sentence, value, names), errors)


def object_error(refused: ObjectRefusedError, name: str, index: int, element: object) -> ObjectError:
    """The entry in `errors` about an element of an array."""
    return ObjectError(invisible.explained(refused.type, element), name, index, refused.code)


def read_all(
    arrays: dict[str, list[Any]], read: Callable[[str, dict[str, Any], int], T]
) -> tuple[list[T], list[ObjectError]]:
    """The commands of the well-formed elements of {name: array}, and an error for each of the others.

    `read` gets the array's name, an element that is an object, and its index; it raises ObjectRefusedError.
    """
    commands: list[T] = []
    errors: list[ObjectError] = []
    for name, array in arrays.items():
        for index, element in enumerate(array):
            try:
                commands.append(read(name, checked(element), index))
            except ObjectRefusedError as refused:
                errors.append(object_error(refused, name, index, element))
    return commands, errors


def sound(value: object) -> object:
    """A value that the stores can hold. Raises ObjectRefusedError."""
    problem = bodies.unsound(value)
    if problem is not None:
        raise ObjectRefusedError(problem)
    return value


def checked(element: object) -> dict[str, Any]:
    """An element that is an object and that the stores can hold. Raises ObjectRefusedError."""
    if not isinstance(element, dict):
        raise ObjectRefusedError("must be an object")
    sound(element)
    return element


def prioritization(value: object) -> tuple[str, ...]:
    """The rules that choose among several profiles. Raises ObjectRefusedError (spec identify.md 4)."""
    if not is_sent(value):
        raise ObjectRefusedError(REQUIRED_PRIORITIZATION)
    if not isinstance(value, list):
        raise ObjectRefusedError(NO_PRIORITIZATION_ARRAY)
    if not all(isinstance(rule, str) and rule in _RULES for rule in value):
        raise ObjectRefusedError(BAD_PRIORITIZATION)
    rules = set(value)
    if len(rules) != len(value) or any(pair <= rules for pair in _CONTRADICTIONS):
        raise ObjectRefusedError(BAD_PRIORITIZATION)
    return tuple(value)


def answer(count_name: str, commands: Sequence[Command], errors: list[ObjectError], nothing_valid: str) -> bytes:
    """The success answer with the number of queued elements. Raises RefusedError when nothing is queued."""
    if not commands:
        raise RefusedError(400, nothing_valid, errors)
    document: dict[str, object] = {count_name: len(commands), "message": "success"}
    if errors:
        document["errors"] = [error.as_json() for error in errors]
    return msgspec.json.encode(document)
