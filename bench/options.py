"""What was asked for on the command line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` is for one row; `users` the number of preloaded profiles.

    `quick`: everything runs as briefly as it can, and no figure is compared with an aim: only wrong results fail.
    """

    seconds: float
    users: int
    seed: int
    quick: bool = False
    #: Users of the file that is imported.
    imported: int = 20_000

    @property
    def bodies(self) -> int:
        """Different requests that are made ahead and sent again and again."""
        return 100 if self.quick else 2000

    def share(self, part: int, least: float) -> float:
        """Seconds of a part of a row, of which `least` are needed for a figure that means something."""
        return self.seconds / part if self.quick else max(least, self.seconds / part)
