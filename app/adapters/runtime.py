"""The Python runtime, tuned for processes that make many short-lived objects and hardly any cycles."""

import gc


def tune(young: int = 200_000) -> None:
    """Leave what exists now alone, and look for cycles rarely. Call once, when a process has loaded everything.

    `young` objects are made, and not freed at once, before anybody looks. With the default of Python (700) the drain
    spent a third of its CPU on looking, and the API stopped for it under load. A drain has so many objects in use; the
    API leaves a few cycles behind with each request, and grew for ten minutes before they added up to so many.
    """
    gc.freeze()
    gc.set_threshold(young, 20, 50)
