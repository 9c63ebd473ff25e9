"""A worker and a sweeper that end a transaction after two commands, so that most requests are applied in parts.

`celery -A fault.hasty worker` and `python -m fault.hasty`.
"""

import os
from pathlib import Path
from typing import Final

from workers.apply import Applier
from workers.batches import Patience

PATIENCE: Final = Patience(reduce=-1, grace=0, part=-1, commands=2)

(Applier.__init__.__kwdefaults__ or {})["patience"] = PATIENCE

if __name__ == "__main__":
    from app.cli.sweeper import sweeper

    Path(os.environ["ONEFOLD_WORKER_READY_FILE"]).touch()
    sweeper(Path(os.environ["ONEFOLD_DATA_DIR"]))
else:
    from workers.celery_app import app

    __all__ = ["app"]
