"""The command line: `onefold`. One module per group of commands."""

from app.cli.main import main

__all__ = ["main"]
