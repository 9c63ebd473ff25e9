"""E-mail: what arrives, what becomes of a server that is wrong, and what bounds it."""

import email
import time
from email import policy

import pytest

from app.adapters import mail
from app.adapters.mail import Mailer, MailError
from app.adapters.mail import MailServer as Server
from tests.hooks import MailServer, mail_server


def mailer(server: MailServer, security: str = mail.NO_TLS, user: str = "", seconds: float = 5.0) -> Mailer:
    return Mailer(Server("127.0.0.1", server.port, security, user, "secret", "onefold@example.org", seconds))


def test_a_message_arrives_whole() -> None:
    """Whatever stands in a name of a client's: no line of it becomes a header."""
    subject = "[Onefold] FIRING: <script>\r\nBcc: everybody@example.org ü \u202e {{7*7}}"
    text = "first\n.\nlast ü\n"
    with mail_server() as server:
        sender = mailer(server, user="me")
        assert sender.send("m-1", ["a@example.org", "b@example.org"], subject, text) == []
    ((recipients, content),) = server.taken
    assert recipients == ["a@example.org", "b@example.org"]
    assert server.users == ["PLAIN AG1lAHNlY3JldA=="]
    message = email.message_from_bytes(content.encode(), policy=policy.default)
    assert {name: str(message[name]) for name in ("From", "To", "Message-ID", "Auto-Submitted", "Bcc")} == {
        "From": "onefold@example.org",
        "To": "a@example.org, b@example.org",
        "Message-ID": "<m-1@example.org>",
        "Auto-Submitted": "auto-generated",
        "Bcc": "None",
    }
    assert str(message["Subject"]) == " ".join(subject.split())
    assert message.get_content() == text


def test_some_addresses_are_refused_or_all_of_them() -> None:
    with mail_server() as server:
        server.refused = {"b@example.org"}
        assert mailer(server).send("m", ["a@example.org", "b@example.org"], "s", "t") == ["b@example.org"]
        with pytest.raises(MailError) as raised:
            mailer(server).send("m", ["b@example.org"], "s", "t")
    assert raised.value.reason == mail.RECIPIENTS_REFUSED
    assert [recipients for recipients, _ in server.taken] == [["a@example.org"]]


@pytest.mark.parametrize(
    ("answers", "security", "user", "reason"),
    [
        ({}, mail.STARTTLS, "", mail.TLS_FAILED),  # it has none: nothing is sent in the clear
        ({}, mail.TLS, "", mail.TLS_FAILED),
        ({"AUTH": "535 no"}, mail.NO_TLS, "me", mail.LOGIN_FAILED),
        ({"MAIL": "451 later"}, mail.NO_TLS, "", mail.REFUSED),
        ({"DATA": "554 no"}, mail.NO_TLS, "", mail.REFUSED),
    ],
    ids=["no starttls", "no tls", "log-in", "sender", "data"],
)
def test_servers_that_take_nothing(answers: dict[str, str], security: str, user: str, reason: str) -> None:
    with mail_server() as server:
        server.answers = answers
        with pytest.raises(MailError) as raised:
            mailer(server, security, user).send("m", ["a@example.org"], "s", "t")
    assert raised.value.reason == reason
    assert (server.taken, server.users) == ([], [])


def test_a_server_that_says_nothing_and_one_that_is_not_there() -> None:
    with mail_server() as server:
        server.silent.set()
        began = time.monotonic()
        with pytest.raises(MailError) as raised:
            mailer(server, seconds=0.2).send("m", ["a@example.org"], "s", "t")
        assert time.monotonic() - began < 5
        assert raised.value.reason in (mail.NOT_CONNECTED, mail.BROKEN_OFF)
    with pytest.raises(MailError) as raised:
        mailer(server).send("m", ["a@example.org"], "s", "t")
    assert raised.value.reason == mail.NOT_CONNECTED
