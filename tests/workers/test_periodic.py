"""Periodic work: all of it runs, and work that fails ends the process, which is started again."""

import threading

import pytest

from workers import periodic


def test_all_work_runs_until_it_is_stopped() -> None:
    met = threading.Barrier(3)
    stop = threading.Event()

    def work(stop: threading.Event) -> None:
        met.wait(10)
        stop.wait(10)

    def last(stop: threading.Event) -> None:
        met.wait(10)
        stop.set()

    periodic.run({"one": work, "two": work, "three": last}, stop)


def test_work_that_fails_ends_the_others() -> None:
    def fails(_stop: threading.Event) -> None:
        raise LookupError("a bug")

    def waits(stop: threading.Event) -> None:
        stop.wait(10)

    with pytest.raises(LookupError, match="a bug"):
        periodic.run({"one": waits, "two": fails}, threading.Event())
