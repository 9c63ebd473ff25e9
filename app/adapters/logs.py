"""Structured logs, one JSON object a line on standard error. Never a body, a key or an identifier of a person.

Fields are an allow-list (`FIELDS`), so that a field that somebody adds in a hurry shows nothing of a client. Whoever
logs an error logs its class: the message of a database error quotes the values of the row it speaks of.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

#: What a line may have beside its event, level, timestamp, and the class and place of an error: numbers, states and
#: words of our own, and ids that we made. A field that is not here is left out, and `left_out` counts it.
FIELDS: Final = frozenset(
    {
        "event", "level", "timestamp", "error", "where", "left_out",
        "act", "again", "alert", "alone", "attempts", "busy", "callbacks", "counts", "delivery", "done", "failed",
        "files", "job", "jobs", "key", "kind", "looks", "messages", "more", "ms", "nodes", "number", "path", "profiles",
        "progress", "reason", "renewed", "request", "requests", "result", "rows", "runs", "segment", "segments",
        "sessions", "state", "status", "stream", "table", "tries", "until", "webhook", "workspace", "workspaces",
    }
)  # fmt: skip

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str, *, for_good: bool = True) -> None:
    """Set up structlog, and make the standard library's loggers print through it. `for_good`: whoever has logged once
    keeps to that, and is faster for it.
    """
    number = _LEVELS.get(level.lower(), logging.INFO)
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_messages_of_errors,
    ]
    structlog.configure(
        processors=[*shared, _allowed, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=for_good,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_without_errors_in_text)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _allowed,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    for name in ("alembic", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for every look or doorbell tells nothing
    for name in ("uvicorn", "uvicorn.error", "celery"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True


def _without_messages_of_errors(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """An exception is logged as its class and where it was raised, without its message."""
    info = event.pop("exc_info", None)
    record = event.get("_record")
    if info is None and record is not None and record.exc_info:
        info, record.exc_info, record.exc_text = record.exc_info, None, None
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["error"] = info[0].__name__
        trace = info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            event["where"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return event


def _without_errors_in_text(record: logging.LogRecord) -> bool:
    """The text of a library's line names the class of an error in place of its message. Celery's lines about a failed
    task have the message under `exc`."""
    if isinstance(record.args, dict) and "exc" in record.args:
        raised = record.exc_info[0] if record.exc_info else None
        record.args = {**record.args, "exc": "an error" if raised is None else raised.__name__}
    elif isinstance(record.args, tuple):
        record.args = tuple(type(one).__name__ if isinstance(one, BaseException) else one for one in record.args)
    return True


def _allowed(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Only `FIELDS`, and of these only plain values and counts."""
    kept = {name: value for name, value in event.items() if name in FIELDS and _is_plain(value)}
    if len(kept) < len(event):
        kept["left_out"] = len(event) - len(kept)
    return kept


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and isinstance(count, int) for name, count in value.items())
    return value is None or isinstance(value, str | int | float)
