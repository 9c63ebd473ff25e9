"""The Python runtime, tuned for processes that make many short-lived objects and hardly any cycles."""

import gc


def tune() -> None:
    """Leave what exists now alone, and look for cycles rarely. Call once, when a process has loaded everything.

    With the defaults the drain spent a third of its CPU on looking, and the API stopped for it under load.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
