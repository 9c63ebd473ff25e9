"""Workspaces: answers."""

from typing import Literal

from msgspec import Struct


class Deleting(Struct, forbid_unknown_fields=True):
    workspace: str
    state: Literal["deleting"]
    message: Literal["success"]
