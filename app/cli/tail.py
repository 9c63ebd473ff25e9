"""`onefold tail`: requests as they come, with what becomes of them."""

import os
import signal
import sys
import time
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from app.adapters.clock import now_us
from app.api.request_log import answers
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, opened_workspace
from app.cli.options import having
from app.cli.request_filters import NAMED, OUTCOME, filter_of, line_of
from app.services.caller import Caller
from app.services.request_search import Entry
from app.services.request_tail import RequestTail

PAUSE_SECONDS: Final = 0.5


class _Pipe(Console):
    """Ends quietly when nobody reads any more, as `tail` does."""

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


@having(NAMED, OUTCOME)
def tail(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1_000, help="Of before, first.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **filters: str | None,
) -> None:
    """Requests of all streams as they come, accepted and refused, until Ctrl-C. No values of people are shown.

    One is shown when it is known what became of it, or after two seconds.
    """
    console = _Pipe(soft_wrap=True, highlight=False)

    def tell(caller: Caller, entries: list[Entry]) -> None:
        for entry in entries:
            document = msgspec.json.encode(answers.entry_of(caller, entry)).decode() if as_json else ""
            console.print(Text(document) if as_json else line_of(caller, entry))
        console.file.flush()

    with opened_workspace(data_dir, workspace) as (database, caller):
        follower = RequestTail(database, caller, filter_of(caller, filters), now_us)
        # Also where it is ignored, as in a background job of a script.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            tell(caller, follower.last(lines) if lines else [])
            while True:
                tell(caller, follower.news())
                time.sleep(PAUSE_SECONDS)
        except KeyboardInterrupt:
            return
