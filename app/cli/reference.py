"""docs/cli.md, made from the commands themselves: `python -m app.cli.reference` writes it, `--check` compares it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from app.cli.main import app

PAGE: Final = Path(__file__).parents[2] / "docs" / "cli.md"

_HEAD: Final = """\
<!-- Made by `make fmt` from the commands. Change their help texts, not this page. -->
# Command line

`onefold` runs the service and looks after it. It works on the machine itself and needs no API key. In a checkout it is
`.venv/bin/onefold`. `onefold COMMAND --help` shows the same in a terminal. When something is wrong, the exit status is
not 0, and a sentence on standard error says why.

Every command takes `--data-dir PATH` (or `ONEFOLD_DATA_DIR`; `var` unless given) and opens the database there, or that
of `DATABASE_URL`.
"""
_KINDS: Final = {"str": "TEXT", "int": "N", "float": "N", "Path": "PATH"}


def page() -> str:
    """The whole page: a table of the commands, and a section for each."""
    found = list(commands())
    rows = [f"| [`{name}`](#{_anchor(name)}) | {_cell(_first(command.help))} |" for name, command in found]
    table = "\n".join(["| Command | |", "|---|---|", *rows])
    return "\n".join([_HEAD, table, "", *(_section(name, command) for name, command in found)])


def commands() -> Iterator[tuple[str, Any]]:
    """(name with the program and the group, command) of every command that --help shows."""
    yield from _below("onefold", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for word, inner in command.commands.items():
        if not inner.hidden:
            yield from _below(f"{name} {word}", inner)


def _section(name: str, command: Any) -> str:
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    arguments = [one for one in shown if isinstance(one, TyperArgument)]
    options = [one for one in shown if isinstance(one, TyperOption) and one.name not in ("help", "data_dir")]
    usage = " ".join([name, *("[OPTIONS]" if options else "",), *map(_placeholder, arguments)])
    lines = [f"## {name}", "", (command.help or "").strip(), "", "```", " ".join(usage.split()), "```", ""]
    described = [f"| `{_placeholder(one)}` | | {_cell(one.help)} |" for one in arguments if one.help]
    described += [f"| {_spelling(one)} | {_default(one)} | {_cell(one.help)} |" for one in options]
    if described:
        lines += ["| Option | Default | |", "|---|---|---|", *described, ""]
    return "\n".join(lines)


def _placeholder(argument: TyperArgument) -> str:
    word = str(argument.name).upper()
    return f"{word}{'…' if argument.nargs == -1 else ''}" if argument.required else f"[{word}]"


def _spelling(option: TyperOption) -> str:
    """`--limit N`; `--block`, `--allow` for a switch."""
    kind = option.type_descriptor.annotation
    if option.is_flag:
        return ", ".join(f"`{spelling}`" for spelling in (*option.opts, *option.secondary_opts))
    many = getattr(kind, "__origin__", None) is list
    inner = kind.__args__[0] if many else kind
    word = _KINDS.get(getattr(inner, "__name__", ""), "TEXT")
    return ", ".join(f"`{spelling} {word}`" for spelling in option.opts) + (", many times" if many else "")


def _default(option: TyperOption) -> str:
    if option.required:
        return "required"
    default = option.default
    if default is None or default == "" or (option.is_flag and not option.secondary_opts):
        return ""
    if isinstance(default, bool):
        return f"`{(option.opts if default else option.secondary_opts)[0]}`"
    return f"`{default}`"


def _first(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def main() -> int:
    """Write the page, or with --check say whether it is current; the exit status."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    current = PAGE.exists() and PAGE.read_text() == page()
    if not current:
        typer.echo("docs/cli.md is not current: make fmt", err=True)
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
