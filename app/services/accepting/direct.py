"""Into the inbox without an API process: what operators ask for on the command line."""

from app.contract.checked import Checked
from app.domain.commands import STREAM_NORMAL
from app.services.accepting.acceptor import entry_of
from app.services.caller import Caller
from app.store.engine import Database
from app.store.inbox import log as inbox


def enqueue(database: Database, caller: Caller, checked: Checked, now_us: int, stream: int = STREAM_NORMAL) -> str:
    """Commit a request to a stream; its id. Rings for nobody: the sweeper finds it."""
    with database.write(database.inbox) as connection:
        (appended,) = inbox.append(connection, caller.workspace_id, stream, [entry_of(caller, checked)], now_us)
    return caller.request_id(stream, appended.seq)
