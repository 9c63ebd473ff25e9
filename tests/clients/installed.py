"""Where published packages of clients are installed, and what drives them."""

from pathlib import Path
from typing import Final, NoReturn

from tests.missing import missing

ROOT: Final = Path(__file__).parents[2]


INSTALLED: Final = ROOT / ".clients"


DRIVERS: Final = Path(__file__).parent / "packages"


def not_installed(what: str) -> NoReturn:
    missing(f"{what} is not installed, see `make clients`")
