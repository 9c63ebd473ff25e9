"""What the contract makes of a body that it takes: the form that is stored, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from app.contract.errors import ObjectError
from app.contract.kinds import KIND_OF
from app.domain.commands import Command

#: Codec of a body that is a list of commands as JSON.
CODEC_COMMANDS: Final = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """What goes to the inbox, and the answer to give once it is there."""

    #: One of app.contract.kinds.
    kind: int
    codec: int
    body: bytes
    #: Empty where the answer is made from what became of the request.
    answer: bytes = b""
    #: Why objects of the request were left out. The answer says so already.
    errors: tuple[ObjectError, ...] = ()
    #: Of calls of a tracking SDK: by what each is known, b"" = by nothing (app.contract.tracking.batch).
    messages: tuple[bytes, ...] = ()


def commands_checked(commands: Sequence[Command], answer: bytes = b"", errors: Sequence[ObjectError] = ()) -> Checked:
    """At least one command, all of one class, normalised: the worker reads them back without judging them again."""
    body = msgspec.json.encode(commands)
    return Checked(KIND_OF[type(commands[0])], CODEC_COMMANDS, body, answer, tuple(errors))
