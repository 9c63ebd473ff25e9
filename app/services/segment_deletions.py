"""Deleting everybody in a segment: a job, which `DELETE /v1/jobs/{id}` cancels."""

from app.domain.jobs import DELETE_SEGMENT
from app.services.caller import Caller
from app.services.jobs import Job, Jobs
from app.services.segments import Segments

__all__ = ["Job", "SegmentDeletions"]


class SegmentDeletions:
    """One per API process."""

    def __init__(self, segments: Segments, jobs: Jobs) -> None:
        self._segments = segments
        self._jobs = jobs

    async def begin(self, caller: Caller, segment_id: str) -> Job:
        """Queue the job. Raises UnknownSegmentError, and as Jobs.start: one deletion of a segment at a time."""
        await self._segments.one(caller, segment_id)
        return await self._jobs.start(caller, DELETE_SEGMENT, segment_id, {})
