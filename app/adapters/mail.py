"""E-mail: messages to a mail server of the operator's, one connection each, with time-outs and TLS."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

# How the connection is protected.
STARTTLS: Final = "starttls"
TLS: Final = "tls"
NO_TLS: Final = "none"

# Why a message was not taken.
NOT_CONNECTED: Final = "not_connected"
TLS_FAILED: Final = "tls_failed"
LOGIN_FAILED: Final = "login_failed"
RECIPIENTS_REFUSED: Final = "recipients_refused"
REFUSED: Final = "refused"
BROKEN_OFF: Final = "broken_off"


class MailError(Exception):
    """A message was not taken. `reason` is one of the names above and holds nothing of an address or an answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where messages go, and from whom."""

    host: str
    port: int
    #: STARTTLS, TLS or NO_TLS.
    security: str
    #: "" = without a log-in.
    user: str
    password: str
    sender: str
    #: For each answer of the server.
    seconds: float


class Mailer:
    """Sends messages. Keeps nothing between two of them."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    def send(self, message_id: str, to: Sequence[str], subject: str, text: str) -> list[str]:
        """Send a message. The addresses that were refused while others were taken. Raises MailError.

        `message_id` makes the Message-ID, by which a mail program knows a message that comes twice. Line breaks in the
        subject become blanks.
        """
        server = self._server
        domain = server.sender.rpartition("@")[2]
        message = EmailMessage()
        message["From"] = server.sender
        message["To"] = ", ".join(to)
        message["Subject"] = " ".join(subject.split())
        message["Message-ID"] = f"<{message_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
        message.set_content(text)
        try:
            with self._connected() as connection:
                if server.user:
                    connection.login(server.user, server.password)
                return sorted(connection.send_message(message, server.sender, list(to)))
        except smtplib.SMTPRecipientsRefused:
            raise MailError(RECIPIENTS_REFUSED) from None
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError):
            raise MailError(LOGIN_FAILED) from None
        except smtplib.SMTPConnectError:
            raise MailError(NOT_CONNECTED) from None
        except smtplib.SMTPResponseException:
            raise MailError(REFUSED) from None
        except (smtplib.SMTPException, OSError):
            raise MailError(BROKEN_OFF) from None

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        context = ssl.create_default_context()
        connection: smtplib.SMTP | None = None
        try:
            if server.security == TLS:
                return smtplib.SMTP_SSL(server.host, server.port, timeout=server.seconds, context=context)
            connection = smtplib.SMTP(server.host, server.port, timeout=server.seconds)
            if server.security == STARTTLS:
                connection.starttls(context=context)
            return connection
        except (ssl.SSLError, smtplib.SMTPNotSupportedError):
            if connection is not None:
                connection.close()
            raise MailError(TLS_FAILED) from None
        except OSError:  # SMTPException is one
            if connection is not None:
                connection.close()
            raise MailError(NOT_CONNECTED) from None
