"""What was asked for on the command line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` is for one row; `users` the number of preloaded profiles."""

    seconds: float
    users: int
    seed: int
