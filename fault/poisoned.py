"""A worker and a sweeper that choke on events named `poison`: as a bug in applying would make them.

`celery -A fault.poisoned worker` and `python -m fault.poisoned`.
"""

import os
from pathlib import Path
from typing import Any

from app.domain.apply import reduce
from app.domain.commands import Request, TrackEvent
from workers import apply

NAME = "poison"


def choke(requests: list[Request], *rest: Any) -> Any:
    """The reducer, with a bug."""
    if any(isinstance(c, TrackEvent) and c.name == NAME for request in requests for c in request.commands):
        raise ZeroDivisionError("poison")
    return reduce(requests, *rest)


vars(apply)["reduce"] = choke

if __name__ == "__main__":
    from app.cli.run import sweeper

    Path(os.environ["ONEFOLD_WORKER_READY_FILE"]).touch()
    sweeper(Path(os.environ["ONEFOLD_DATA_DIR"]))
else:
    from workers.celery_app import app

    __all__ = ["app"]
