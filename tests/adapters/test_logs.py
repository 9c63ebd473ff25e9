"""Logs hold what the allow-list has: every field that our code logs is on it, and anything else is left out."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from app.adapters.logs import FIELDS

ROOT: Final = Path(__file__).resolve().parents[2]
LEVELS: Final = {"debug", "info", "warning", "error", "exception", "critical", "bind"}
#: Of a person, in every place where somebody might log it.
MARK: Final = "zq7mark"

LOGGING: Final = f"""
import logging
import structlog
from app.adapters import logs
logs.configure("info")
log = structlog.get_logger()
log.info("ours", workspace=7, requests=3, email="{MARK}", counts={{"inbox": 2}}, reason=["{MARK}"])
try:
    raise ValueError("Key (external_id)=({MARK}) already exists")
except ValueError as error:
    context = {{"name": "onefold.apply", "exc": repr(error), "args": "[7]"}}
    logging.getLogger("celery.app.trace").error("Task %(name)s raised: %(exc)s", context, exc_info=True)
    logging.getLogger("kombu").error("no broker: %s in %s", error, "redis", extra={{"data": "{MARK}"}})
    log.exception("ours")
"""


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger, with its place."""
    for folder in ("app", "workers", "onefold"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                function = getattr(node, "func", None)
                if isinstance(node, ast.Call) and isinstance(function, ast.Attribute) and function.attr in LEVELS:
                    owner = function.value
                    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                    if name in ("log", "logger", "_log", "_logger", "logging"):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_field_that_is_logged_is_on_the_list() -> None:
    found = {(place, keyword.arg) for place, call in calls() for keyword in call.keywords}
    assert len(found) > 80
    assert {(place, name) for place, name in found if name not in FIELDS} == set()  # None: **fields
    bare = [place for place, call in calls() if any(isinstance(one, ast.JoinedStr) for one in call.args)]
    assert bare == []


def test_what_is_not_on_the_list_is_left_out_and_errors_have_no_message() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert MARK not in done.stderr + done.stdout
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    assert [{name: line[name] for name in line if name not in ("timestamp", "where")} for line in lines] == [
        {
            "event": "ours",
            "level": "info",
            "workspace": 7,
            "requests": 3,
            "counts": {"inbox": 2},
            "left_out": 2,
        },
        {"event": "Task onefold.apply raised: ValueError", "level": "error", "error": "ValueError"},
        {"event": "no broker: ValueError in redis", "level": "error"},
        {"event": "ours", "level": "error", "error": "ValueError"},
    ]
