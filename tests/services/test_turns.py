"""One thread of a workspace at a time; others are not in the way, and nobody waits in vain."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.turns import Turns
from app.store.interruption import AbandonedError, Interruption
from tests.polling import until


def test_one_at_a_time_of_each_workspace() -> None:
    turns, inside, most, lock = Turns(), Counter[int](), Counter[int](), threading.Lock()
    meeting = threading.Barrier(2, timeout=10)

    def work(n: int) -> None:
        with turns.turn(n % 2):
            with lock:
                inside[n % 2] += 1
                most[n % 2] = max(most[n % 2], inside[n % 2])
            meeting.wait()  # one thread of the other workspace is inside at the same time
            with lock:
                inside[n % 2] -= 1

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work, n) for n in range(40)]:
            done.result(20)
    assert most == {0: 1, 1: 1}


def test_the_turn_is_given_back_after_an_error() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(1):
        raise ZeroDivisionError
    with turns.turn(1):
        pass


def test_who_is_not_waited_for_does_not_wait() -> None:
    turns, call = Turns(), Interruption()
    waiting = threading.Event()

    def work() -> None:
        waiting.set()
        with turns.turn(1):
            raise AssertionError

    with ThreadPoolExecutor(1) as threads, turns.turn(1):
        done = threads.submit(call.run, work)
        until(waiting.is_set)
        call.interrupt()
        with pytest.raises(AbandonedError):
            done.result(10)
