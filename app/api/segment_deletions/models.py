"""Deletions of segments: answers."""

from typing import Literal

from msgspec import Struct

from app.api.jobs.models import Job


class Begun(Struct, forbid_unknown_fields=True):
    job: Job
    message: Literal["success"]
