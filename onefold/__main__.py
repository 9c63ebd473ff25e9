"""The command `onefold` of an installed wheel; `python -m onefold` does the same."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

SERVICE: Final = Path(__file__).with_name("service")


def main() -> None:
    """Run the command line."""
    if SERVICE.is_dir():
        sys.path.insert(0, str(SERVICE))
    import_module("app.cli").main()


if __name__ == "__main__":
    main()
