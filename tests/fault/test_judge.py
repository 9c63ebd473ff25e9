"""Comparisons that need no server, on calls made up by hand."""

import pytest

from app.contract import request_id
from fault import judge
from fault.clients import Attempt, Call, Load, LoadPlan
from fault.operations import Sending


def call(seq: int, sent: float, answered: float, stream: int = 0) -> Call:
    attempt = Attempt(201, sent, answered - sent, retry_after=False, fresh=True)
    sending = Sending("/users/track", {}, lambda _ledger: None, "")
    identifier = request_id.make(b"secret", 1, stream, seq)
    return Call(0, sending, b"", "", [attempt], answered, 201, identifier)


def test_a_call_reads_its_place_from_the_request_id() -> None:
    assert [call(seq, 0, 1, stream).place for stream, seq in ((0, 1), (1, 2**40))] == [(0, 1), (1, 2**40)]


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([call(1, 0, 1), call(2, 2, 3)], 0),
        ([call(2, 0, 2), call(1, 1, 3)], 0),  # at the same time: either order will do
        ([call(2, 0, 1), call(1, 2, 3)], 1),
        ([call(5, 0, 1), call(6, 2, 3), call(3, 4, 5), call(4, 4, 5)], 2),
        ([call(2, 0, 1), call(1, 2, 3, stream=1)], 0),  # numbers are of a stream
        ([call(1, 0, 1), call(1, 2, 3)], 1),
    ],
)
def test_numbers_extend_real_time(calls: list[Call], found: int) -> None:
    assert len(judge.real_time(calls)) == found


@pytest.mark.parametrize(
    ("status", "retry_after", "rules", "found"),
    [
        (201, False, {"clean": True, "may_break": False}, 0),
        (503, True, {"clean": False, "may_break": False}, 0),
        (503, False, {"clean": False, "may_break": True}, 1),
        (503, True, {"clean": True, "may_break": False}, 1),
        (429, False, {"clean": False, "may_break": False}, 1),
        (500, True, {"clean": False, "may_break": True}, 1),
        (400, False, {"clean": False, "may_break": True}, 1),
        (0, False, {"clean": False, "may_break": False}, 1),
        (0, False, {"clean": False, "may_break": True}, 0),
    ],
)
def test_rules_of_answers(status: int, retry_after: bool, rules: dict[str, bool], found: int) -> None:
    load = Load([1], "", LoadPlan(clients=0, people=0), 1)
    made = call(1, 0, 1)
    made.attempts = [Attempt(status, 0, 1, retry_after=retry_after, fresh=True)]
    load.calls.append(made)
    assert len(judge.answers(load, **rules)) == found
