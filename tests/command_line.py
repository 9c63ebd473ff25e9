"""Commands of `onefold`, as a person types them, over a data directory of their own."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from app.cli.main import app


def run(*words: str, fails: bool = False, env: dict[str, str] | None = None) -> str:
    """What a command printed. `fails`: whether it has to fail."""
    found = CliRunner().invoke(app, [*words], catch_exceptions=False, env=env)
    assert (found.exit_code != 0) is fails, found.output
    return str(found.output)


def command_line(data_dir: Path) -> Callable[..., str]:
    """A function that runs a command and returns what it printed. `fails`: whether it has to fail."""

    def run(*words: str, fails: bool = False, typed: str = "") -> str:
        result = CliRunner().invoke(
            app,
            [*words, "--data-dir", str(data_dir)],
            env={"ONEFOLD_CANARY_SECONDS": "0"},
            input=typed,
            catch_exceptions=False,
        )
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    return run
