"""Where a change of a profile comes from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The command that made a change: its place in the log, when it was accepted, and by which key."""

    stream: int
    seq: int
    ordinal: int
    us: int
    #: Name of the API key; "" where it is not known.
    key_name: str = ""
