"""A worker and a sweeper that choke on events named `poison`: as a bug in applying would make them.

`celery -A fault.poisoned worker` and `python -m fault.poisoned`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from app.domain.apply import apply_commands
from app.domain.commands import TrackEvent
from app.domain.step import Step
from workers import parts

NAME = "poison"


def choke(step: Step, positions: Iterable[int]) -> None:
    """The reducer, with a bug."""
    if any(isinstance(command, TrackEvent) and command.name == NAME for command in step.request.commands):
        raise ZeroDivisionError("poison")
    apply_commands(step, positions)


vars(parts)["apply_commands"] = choke

if __name__ == "__main__":
    from app.cli.sweeper import sweeper

    Path(os.environ["ONEFOLD_WORKER_READY_FILE"]).touch()
    sweeper(Path(os.environ["ONEFOLD_DATA_DIR"]))
else:
    from workers.celery_app import app

    __all__ = ["app"]
