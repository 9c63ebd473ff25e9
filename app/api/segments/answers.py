"""Segments as JSON."""

from app.api.jobs import answers as jobs
from app.contract import segment_requests as contract
from app.domain import times
from app.services.caller import Caller
from app.services.previews import Preview
from app.services.segments import Segment, Why


def shown(segment: Segment) -> dict[str, object]:
    """A segment with its definition."""
    return {
        "id": segment.id,
        "name": segment.name,
        "description": segment.description,
        "tags": segment.tags,
        "analytics_tracking_enabled": segment.tracked,
        "created_at": times.iso(segment.created_us),
        "updated_at": times.iso(segment.updated_us),
        **segment.definition,
    }


def listed(segment: Segment) -> dict[str, object]:
    """A line of /segments/list."""
    return {
        "id": segment.id,
        "name": segment.name,
        "analytics_tracking_enabled": segment.tracked,
        "tags": segment.tags,
    }


def details(segment: Segment) -> dict[str, object]:
    """The answer of /segments/details."""
    return {
        "created_at": times.iso(segment.created_us),
        "updated_at": times.iso(segment.updated_us),
        "name": segment.name,
        "description": segment.description,
        "text_description": contract.in_words(segment.definition),
        "tags": segment.tags,
        "teams": [],
    }


def preview(caller: Caller, found: Preview, now_us: int) -> dict[str, object]:
    """The answer of a preview; `job` where a job counted."""
    document: dict[str, object] = {"size": found.size, "sample": jobs.sample(found.sample)}
    if found.job is not None:
        document["job"] = jobs.job_of(caller, found.job, now_us)
    return document


def why(found: Why) -> dict[str, object]:
    """A person's filters."""
    return {
        "braze_id": found.braze_id,
        "in_segment": found.inside,
        "filters": [
            {"part": part, "group": group, "filter": position, "field": field, "matches": matches}
            for part, group, position, field, matches in found.filters
        ],
    }
