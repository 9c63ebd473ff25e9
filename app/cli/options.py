"""Options that several commands have in common, declared once."""

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from typing import Annotated, Any, Final

import typer

from app.contract.plans import MAX_LIMIT, MAX_WINDOW_SECONDS, PLANS, REFILLS

#: Name of the parameter -> its annotation. None is the default of each: not given.
Options = Mapping[str, Any]

#: Limits of /users/track, of a workspace or a company.
LIMITS: Final[Options] = {
    "hourly": Annotated[int | None, typer.Option("--hourly", min=1, max=MAX_LIMIT, help="Requests per hour.")],
    "burst": Annotated[int | None, typer.Option("--burst", min=1, max=MAX_LIMIT, help="Requests per burst window.")],
    "burst_window": Annotated[
        int | None, typer.Option("--burst-window", min=1, max=MAX_WINDOW_SECONDS, help="Burst window in seconds.")
    ],
    "hourly_refill": Annotated[
        str | None, typer.Option("--hourly-refill", help=f"One of {', '.join(REFILLS)}: in full at hh:00 UTC.")
    ],
}
#: Who is meant: one of them, or the alias's two parts.
PERSON: Final[Options] = {
    name: Annotated[str | None, typer.Option(f"--{name.replace('_', '-')}")]
    for name in ("external_id", "braze_id", "email", "phone", "alias_name", "alias_label")
}
PLAN: Final[Options] = {"plan": Annotated[str | None, typer.Option("--plan", help=f"One of {', '.join(PLANS)}.")]}


def having(*groups: Options) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare the options of these groups for a command, which takes them as **given."""

    def declare(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for group in groups
            for name, annotation in group.items()
        ]
        keyword_only = [one.replace(kind=one.KEYWORD_ONLY) if one.default is not one.empty else one for one in own]
        # Typer reads what a command takes with inspect.signature, which looks here first.
        command.__dict__["__signature__"] = signature.replace(
            parameters=sorted([*keyword_only, *shared], key=lambda one: one.kind)
        )
        return command

    return declare


def hidden(options: Options) -> Options:
    """The same options, still taken, and no longer shown: they have another place until 1.0."""
    found: dict[str, Any] = {}
    for name, annotation in options.items():
        option = copy(annotation.__metadata__[0])
        option.hidden = True
        found[name] = Annotated[annotation.__origin__, option]
    return found


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}
