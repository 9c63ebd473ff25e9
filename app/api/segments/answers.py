"""Segments as JSON."""

from app.contract import segment_requests as contract
from app.domain import times
from app.domain.profile import Profile
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


def person(profile: Profile) -> dict[str, object]:
    """Somebody of a preview."""
    return {"braze_id": profile.braze_id, "external_id": profile.external_id}


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
