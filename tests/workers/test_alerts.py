"""Alerts: each number is read, one of many sweepers says it, and who is told hears it once, and at least once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from app.adapters import mail
from app.adapters.http_out import HttpOut
from app.adapters.mail import Mailer
from app.adapters.mail import MailServer as Server
from app.contract import alerts as contract
from app.contract.checked import commands_checked
from app.domain.alerts import (
    DELIVERED,
    DUE,
    FAILED,
    FIRING,
    HELD_BACK,
    INSTALLATION,
    METRICS,
    OK,
    PENDING,
    RESOLVED,
    TEST,
    Alert,
)
from app.domain.commands import STREAM_BULK, STREAM_NORMAL, CountRefused
from app.domain.times import HOUR, MINUTE, SECOND
from app.services import alerts as services
from app.services.alerts import AlertSettings, Owner
from app.services.refusals import TooManyAlertsError, TooManyMessagesError
from app.store import alerts as store
from app.store import api_usage, dead_letters
from app.store.alerts import Bounds, Message
from app.store.api_usage import Place
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry, Stored
from tests.accepting import ADA, track
from tests.applying import applier
from tests.hooks import Hook, hook, mail_server
from tests.polling import until
from tests.stores import NOW_US, workspace
from workers.alert_messages import CLAIM_US, PAUSES, AlertSender
from workers.alerts import AlertWatch, Memory, read

SETTINGS = AlertSettings(most=20, bounds=Bounds(60, 1_000), allow_private=True, mail=True, server="https://one")
TRACK = "POST /users/track"


def make(database: Database, workspace_id: int, metric: str, above: int = 0, **fields: Any) -> Alert:
    """An alert that fires and clears at once, unless told otherwise."""
    installation = workspace_id == INSTALLATION
    owner = Owner.installation("me") if installation else Owner(workspace_id, "w", "k")
    sent = {"name": metric, "metric": metric, "above": above, "for_seconds": 0, "clear_seconds": 0, **fields}
    if "emails" not in sent:
        sent.setdefault("webhook", "http://127.0.0.1:9/hook")
    return services.create(database, owner, contract.new(sent, installation=installation), NOW_US, SETTINGS)


def watch(database: Database, now_us: int = NOW_US, bounds: Bounds = SETTINGS.bounds) -> AlertWatch:
    return AlertWatch(database, lambda: now_us, 5.0, bounds, "https://one")


def all_messages(database: Database, workspace_id: int) -> list[Message]:
    """The oldest first."""
    with database.read() as connection:
        return store.messages(connection, workspace_id, 1_000)[::-1]


def stands(database: Database, alert: Alert) -> Alert:
    return services.one(database, Owner(alert.workspace_id, "", ""), alert.id)


# What is read.


def use(database: Database, *places: tuple[int, int, str, str, int, int]) -> None:
    """(workspace, minutes ago, key, endpoint, status, count)"""
    api_usage.add(
        database,
        {
            Place(w, NOW_US // MINUTE - ago, key, endpoint, status): count
            for w, ago, key, endpoint, status, count in places
        },
    )


def numbers(database: Database, alerts: list[Alert], now_us: int = NOW_US, memory: Memory | None = None) -> list[int]:
    return [one.value for one in read(database, alerts, now_us, memory or Memory())]


def test_answers_by_key_and_endpoint(database: Database) -> None:
    one, other = workspace(database, "a"), workspace(database, "b")
    use(
        database,
        (one, 0, "k1", TRACK, 400, 3),
        (one, 4, "k1", TRACK, 400, 1),
        (one, 5, "k1", TRACK, 400, 100),  # too long ago
        (one, 0, "k2", TRACK, 429, 5),
        (one, 0, "k1", "GET /v1/jobs", 404, 7),
        (one, 0, "k1", TRACK, 503, 11),
        (one, 0, "k1", TRACK, 201, 1_000),
        (other, 0, "k3", TRACK, 400, 13),
        (0, 0, "", TRACK, 401, 17),
        (0, 1, "", TRACK, 429, 2),
        (0, 1, "", TRACK, 503, 23),
    )
    table: list[tuple[int, str, dict[str, Any], int]] = [
        (one, "responses_4xx", {}, 16),
        (one, "responses_4xx", {"window_minutes": 1}, 15),
        (one, "responses_4xx", {"window_minutes": 6}, 116),
        (one, "responses_4xx", {"key_id": "k1"}, 11),
        (one, "responses_4xx", {"endpoint": TRACK}, 9),
        (one, "responses_4xx", {"endpoint": "/users/track", "key_id": "k1"}, 4),
        (one, "responses_4xx", {"endpoint": "GET /users/track"}, 0),
        (one, "responses_429", {}, 5),
        (one, "responses_5xx", {}, 11),
        (other, "responses_4xx", {}, 13),
        (other, "responses_5xx", {}, 0),
        (INSTALLATION, "responses_4xx", {}, 48),
        (INSTALLATION, "responses_4xx", {"endpoint": "/v1/jobs"}, 7),
        (INSTALLATION, "responses_5xx", {}, 34),
        (INSTALLATION, "invalid_keys", {}, 19),
    ]
    alerts = [make(database, number, metric, **fields) for number, metric, fields, _ in table]
    assert numbers(database, alerts) == [row[3] for row in table]
    (reading,) = read(database, alerts[:1], NOW_US, Memory())
    assert list(reading.details) == [
        {"key_id": "k1", "endpoint": "GET /v1/jobs", "status": 404, "value": 7},
        {"key_id": "k2", "endpoint": TRACK, "status": 429, "value": 5},
        {"key_id": "k1", "endpoint": TRACK, "status": 400, "value": 4},
    ]


def test_what_waits_and_what_stands(database: Database) -> None:
    one, other, idle = (workspace(database, name) for name in "abc")
    gauges = ("lag_seconds", "backlog_requests", "lane_standing_seconds")
    owners = (one, other, idle, INSTALLATION)
    alerts = [make(database, number, metric) for number in owners for metric in gauges]
    memory = Memory()
    assert numbers(database, alerts, memory=memory) == [0] * 12
    for _ in range(2):
        track(database, one, ADA)
    track(database, one, ADA, stream=STREAM_BULK)
    track(database, other, ADA)
    with database.read(database.inbox) as connection:
        accepted = connection.exec_driver_sql("select max(last_us) from inbox_head").scalar_one()
    first = int(accepted) + 7 * SECOND
    assert numbers(database, alerts, first, memory) == [7, 3, 0, 7, 1, 0, 0, 0, 0, 7, 4, 0]
    later = first + 5 * SECOND
    assert numbers(database, alerts, later, memory) == [12, 3, 5, 12, 1, 5, 0, 0, 0, 12, 4, 5]
    applier(database).drain(one)
    track(database, one, ADA)
    found = numbers(database, alerts, later, memory)
    assert (found[1:3], found[3:6], found[9 + 1 : 12]) == ([1, 0], [12, 1, 5], [2, 5])


def test_dead_letters_and_refused_events(database: Database) -> None:
    one, other = workspace(database, "a"), workspace(database, "b")
    alerts = [make(database, n, m) for n in (one, other, INSTALLATION) for m in ("dead_letters", "ecommerce_failures")]
    memory = Memory()
    assert numbers(database, alerts, memory=memory) == [0] * 6
    with database.write() as connection:
        for number, seq, ago in ((one, 1, 0), (one, 2, 4 * MINUTE), (one, 3, 6 * MINUTE), (other, 1, 0)):
            letter = Stored(STREAM_NORMAL, seq, 0, 0, b"x", NOW_US)
            dead_letters.bury(connection, number, letter, "LookupError", NOW_US - ago)
    refuse(database, one, "ecommerce.order_placed", 3)
    refuse(database, other, "ecommerce.cart_updated", 2)
    assert numbers(database, alerts, NOW_US, memory) == [2, 3, 1, 2, 3, 5]
    refuse(database, one, "ecommerce.order_placed", 4)
    assert numbers(database, alerts, NOW_US + 5 * MINUTE, memory) == [0, 4, 0, 0, 0, 4]
    assert numbers(database, alerts, NOW_US + 11 * MINUTE, memory) == [0] * 6
    # A process that starts anew begins to count.
    assert numbers(database, alerts[1:2]) == [0]


def refuse(database: Database, number: int, event: str, count: int) -> None:
    checked = commands_checked([CountRefused(0, event, "INVALID_VALUE", count)])
    with database.write(database.inbox) as connection:
        entry = Entry(checked.kind, checked.codec, checked.body)
        inbox.append(connection, number, STREAM_NORMAL, [entry], NOW_US)
    applier(database).drain(number)


def test_every_metric_is_read_and_has_words(database: Database) -> None:
    one = workspace(database)
    for metric in METRICS:
        alert = make(database, INSTALLATION if metric == "invalid_keys" else one, metric)
        assert numbers(database, [alert]) == [0]
        for said in (FIRING, RESOLVED, TEST):
            doc = contract.message(alert, "m", said, NOW_US, value=7)
            assert alert.name in contract.letter(doc)
            assert alert.name in contract.subject(doc)


# Who says it.


def test_one_of_many_sweepers_says_it(database: Database) -> None:
    one = workspace(database)
    alert = make(database, one, "responses_4xx", above=2)
    use(database, (one, 0, "k", TRACK, 400, 3))
    sweepers = [watch(database) for _ in range(4)]
    together(lambda sweeper: sweeper.look(), sweepers)
    (message,) = all_messages(database, one)
    assert (message.said, message.delivery, message.targets, message.alert_id) == (FIRING, DUE, alert.targets, alert.id)
    assert message.doc == {
        "text": "Onefold, w: responses_4xx is firing: 3 answers 4xx in 5 min (allowed: 2)",
        "id": message.id,
        "state": "firing",
        "at": "2026-11-18T11:06:40.000Z",
        "server": "https://one",
        "workspace": "w",
        "alert": {
            "id": alert.id,
            "name": "responses_4xx",
            "metric": "responses_4xx",
            "above": 2,
            "window_minutes": 5,
            "key_id": None,
            "endpoint": None,
            "scope": "workspace",
        },
        "value": 3,
        "details": [{"key_id": "k", "endpoint": TRACK, "status": 400, "value": 3}],
    }
    found = stands(database, alert)
    assert (found.standing.state, found.standing.since_us, found.value) == (FIRING, NOW_US, 3)
    together(lambda sweeper: sweeper.look(), sweepers)
    later = NOW_US + 10 * MINUTE
    together(lambda sweeper: sweeper.look(), [watch(database, later) for _ in range(4)])
    assert [one.said for one in all_messages(database, one)] == [FIRING, RESOLVED]


def together(work: Any, of: list[Any]) -> None:
    """All at once, each in a thread."""
    with ThreadPoolExecutor(len(of)) as executor:
        for done in [executor.submit(work, each) for each in of]:
            done.result(60)


def test_it_has_to_last_and_a_change_begins_anew(database: Database) -> None:
    one = workspace(database)
    alert = make(database, one, "responses_5xx", for_seconds=60, clear_seconds=60)
    use(database, *((one, -n, "k", TRACK, 500, 1) for n in range(6)))
    assert watch(database).look() == 1
    assert stands(database, alert).standing.state == PENDING
    assert watch(database, NOW_US + 59 * SECOND).look() == 0
    assert watch(database, NOW_US + 60 * SECOND).look() == 1
    assert stands(database, alert).standing.state == FIRING
    owner = Owner(one, "w", "k")
    before = stands(database, alert)
    changed = services.change(database, owner, alert.id, {"above": 10}, NOW_US + MINUTE, SETTINGS)
    assert (changed.standing.state, changed.value, changed.above) == (OK, None, 10)
    # Who looked before the change does nothing behind it.
    with database.write() as connection:
        assert not store.move(connection, before, replace(before.standing, version=99), 1, NOW_US)
    assert watch(database, NOW_US + 2 * MINUTE).look() == 0
    services.change(database, owner, alert.id, {"above": 0, "enabled": False}, NOW_US, SETTINGS)
    assert watch(database, NOW_US + 2 * MINUTE).look() == 0
    services.delete(database, owner, alert.id)
    assert watch(database, NOW_US + 2 * MINUTE).look() == 0
    assert [message.said for message in all_messages(database, one)] == [FIRING]


def test_a_number_is_noted_once_a_minute(database: Database) -> None:
    one = workspace(database)
    alert = make(database, one, "responses_5xx", above=100)
    seen = []
    for second in (0, 30, 60, 61):
        use(database, (one, 0, "k", TRACK, 500, 1))
        assert watch(database, NOW_US + second * SECOND).look() == 0
        found = stands(database, alert)
        seen.append((found.value, (found.checked_us - NOW_US) // SECOND))
    assert seen == [(1, 0), (1, 0), (3, 60), (3, 60)]


def test_bounds(database: Database) -> None:
    one = workspace(database)
    for _ in range(SETTINGS.most):
        alert = make(database, one, "responses_5xx")
    with pytest.raises(TooManyAlertsError):
        make(database, one, "responses_5xx")
    few = replace(SETTINGS, bounds=Bounds(an_hour=3, kept=4))
    owner = Owner(one, "w", "k")
    for n in range(3):
        services.test(database, owner, alert.id, NOW_US + n, few)
    with pytest.raises(TooManyMessagesError):
        services.test(database, owner, alert.id, NOW_US + 3, few)
    use(database, (one, 0, "k", TRACK, 500, 1))
    assert watch(database, NOW_US + 4, few.bounds).look() == SETTINGS.most
    kept = all_messages(database, one)
    assert [(m.said, m.delivery) for m in kept if m.us < NOW_US + 4] == [(TEST, DUE)] * 3
    assert {(m.said, m.delivery) for m in kept if m.us == NOW_US + 4} == {(FIRING, HELD_BACK)}
    assert sender(database, NOW_US + MINUTE).due()[0].said == TEST
    services.test(database, owner, alert.id, NOW_US + HOUR + 5, few)
    kept = all_messages(database, one)
    assert [message.us for message in kept][-1] == NOW_US + HOUR + 5
    assert {message.us for message in kept} == {NOW_US + 4, NOW_US + HOUR + 5}


# Who hears it.


@pytest.fixture
def told() -> Iterator[Hook]:
    with hook() as server:
        yield server


def sender(database: Database, now_us: int = NOW_US, mailer: Mailer | None = None) -> AlertSender:
    return AlertSender(database, lambda: now_us, HttpOut(allow_private=True), mailer)


def test_many_senders_send_it_once(database: Database, told: Hook) -> None:
    one = workspace(database)
    alert = make(database, one, "responses_5xx", webhook=told.url)
    message = services.test(database, Owner(one, "w", "k"), alert.id, NOW_US, SETTINGS)
    senders = [sender(database) for _ in range(4)]
    found = [one.due() for one in senders]
    assert [len(due) for due in found] == [1] * 4
    together(lambda pair: pair[0].send(pair[1][0]), list(zip(senders, found, strict=True)))
    assert [body["id"] for body in told.told] == [message.id]
    assert told.told[0]["text"] == "Onefold, w: this is a test of the alert responses_5xx"
    assert told.headers[0]["X-Onefold-Message-Id"] == message.id
    (kept,) = all_messages(database, one)
    assert (kept.delivery, kept.attempts, kept.error, kept.ended_us) == (DELIVERED, 1, "", NOW_US)
    assert sender(database, NOW_US + HOUR).due() == []


def test_a_sender_that_dies_leaves_it_to_another(database: Database, told: Hook) -> None:
    """Before the call, or behind it: it arrives at least once, with the same id."""
    one = workspace(database)
    alert = make(database, one, "responses_5xx", webhook=told.url)
    message = services.test(database, Owner(one, "w", "k"), alert.id, NOW_US, SETTINGS)
    with database.write() as connection:
        assert store.claim(connection, message, NOW_US + CLAIM_US)
        assert not store.claim(connection, message, NOW_US + CLAIM_US)
    assert sender(database, NOW_US + CLAIM_US - 1).due() == []
    late = sender(database, NOW_US + CLAIM_US)
    (due,) = late.due()
    assert late.send(due) == DELIVERED
    assert [body["id"] for body in told.told] == [message.id]
    assert all_messages(database, one)[0].attempts == 2


def test_it_is_tried_again_and_given_up_and_the_next_one_waits_its_turn(database: Database, told: Hook) -> None:
    one = workspace(database)
    alert = make(database, one, "responses_5xx", webhook=told.url)
    owner, told.status = Owner(one, "w", "k"), 500
    first = services.test(database, owner, alert.id, NOW_US, SETTINGS)
    second = services.test(database, owner, alert.id, NOW_US + 1, SETTINGS)
    now_us, tried = NOW_US + 1, []
    for pause in (*PAUSES, 0):
        each = sender(database, now_us)
        (due,) = each.due()
        tried.append((due.id, each.send(due)))
        assert sender(database, now_us + pause * SECOND - 1).due() == [] if pause else True
        now_us += pause * SECOND
    assert tried == [(first.id, DUE)] * len(PAUSES) + [(first.id, FAILED)]
    told.status = 204
    each = sender(database, now_us)
    (due,) = each.due()
    assert (due.id, each.send(due)) == (second.id, DELIVERED)
    kept = all_messages(database, one)
    assert [(m.delivery, m.attempts, m.error) for m in kept] == [
        (FAILED, len(PAUSES) + 1, "status_500"),
        (DELIVERED, 1, ""),
    ]


def test_one_workspace_holds_up_no_other(database: Database) -> None:
    crowd, other = workspace(database, "a"), workspace(database, "b")
    alerts = [make(database, crowd, "responses_5xx") for _ in range(8)]
    late = make(database, other, "responses_5xx")
    for n, alert in enumerate([*alerts, late]):
        services.test(database, Owner(alert.workspace_id, "w", "k"), alert.id, NOW_US + n, SETTINGS)
    each = sender(database, NOW_US + MINUTE)
    assert [message.workspace_id for message in each.due()] == [crowd, other]
    assert each.due() == []  # both are on their way


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://127.0.0.1:9/", "refused_address"), ("http://localhost:9/", "refused_address")],
    ids=["address", "name"],
)
def test_private_addresses_are_not_called(database: Database, url: str, reason: str) -> None:
    """Also where an alert was made while they were allowed."""
    one = workspace(database)
    alert = make(database, one, "responses_5xx", webhook=url)
    services.test(database, Owner(one, "w", "k"), alert.id, NOW_US, SETTINGS)
    strict = AlertSender(database, lambda: NOW_US, HttpOut(), None)
    (due,) = strict.due()
    assert strict.send(due) == DUE
    assert all_messages(database, one)[0].error == reason


def test_by_e_mail(database: Database) -> None:
    one = workspace(database)
    alert = make(database, one, "responses_5xx", emails=["ops@example.org", "OPS@example.org", "b@example.org"])
    assert alert.targets == ("ops@example.org", "b@example.org")
    use(database, (one, 0, "k", TRACK, 500, 4))
    assert watch(database).look() == 1
    nothing = sender(database)
    (due,) = nothing.due()
    assert nothing.send(due) == DUE
    assert all_messages(database, one)[0].error == "no_mail_server"
    with mail_server() as server:
        server.refused = {"b@example.org"}
        mailer = Mailer(Server("127.0.0.1", server.port, mail.NO_TLS, "", "", "onefold@example.org", 5.0))
        later = sender(database, NOW_US + MINUTE, mailer)
        (due,) = later.due()
        assert later.send(due) == DELIVERED
    ((recipients, content),) = server.taken
    assert recipients == ["ops@example.org"]
    assert "Subject: [Onefold] FIRING: responses_5xx" in content
    assert "4 answers 5xx in 5 min (allowed: 0)" in content
    assert "status 500, value 4" in content
    assert all_messages(database, one)[0].error == "some_recipients_refused"


def test_both_threads_do_it_by_themselves(database: Database, told: Hook) -> None:
    """As the sweeper runs them, two of each."""
    one, stop = workspace(database), threading.Event()
    make(database, one, "responses_5xx", webhook=told.url)
    use(database, (one, 0, "k", TRACK, 500, 1))
    works = [AlertWatch(database, lambda: NOW_US, 0.01, SETTINGS.bounds, "").run for _ in range(2)]
    works += [sender(database).run for _ in range(2)]
    threads = [threading.Thread(target=work, args=(stop,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        until(lambda: [m.delivery for m in all_messages(database, one)] == [DELIVERED], timeout=30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [body["state"] for body in told.told] == [FIRING]
