"""A file of spans, as `ONEFOLD_TRACES_URL=file:///…` writes it."""

import json
from pathlib import Path
from typing import Any


def spans(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def links_of(span: dict[str, Any]) -> list[tuple[int, int]]:
    """(trace id, span id) of what a span links to."""
    return [_place(link["context"]) for link in span["links"]]


def place(span: dict[str, Any]) -> tuple[int, int]:
    """(trace id, span id)."""
    return _place(span["context"])


def _place(context: dict[str, str]) -> tuple[int, int]:
    return int(context["trace_id"], 16), int(context["span_id"], 16)
