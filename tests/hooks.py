"""Who is told: a webhook, and a mail server, as real ones on ports of this machine."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Hook(ThreadingHTTPServer):
    """Keeps what it is told, and answers `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Told)
        self.told: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Told(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        self.server.told.append(msgspec.json.decode(body))
        self.server.headers.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing is printed."""


@contextmanager
def hook() -> Iterator[Hook]:
    """A webhook that listens."""
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP (RFC 5321) as a client needs. Keeps (recipients, message) of what it took."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.taken: list[tuple[list[str], str]] = []
        #: Log-ins, as they were sent.
        self.users: list[str] = []
        #: Command -> what it is answered instead.
        self.answers: dict[str, str] = {}
        #: Recipients that are refused.
        self.refused: set[str] = set()
        self.silent = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        if self.server.silent.is_set():
            self.rfile.read()
            return
        recipients: list[str] = []
        self._say("220 mail.example.org")
        while line := self.rfile.readline().decode().strip():
            command, _, rest = line.partition(" ")
            command = command.upper()
            if command in self.server.answers:
                self._say(self.server.answers[command])
            elif command == "EHLO":
                self._say("250-mail.example.org\r\n250 AUTH PLAIN")
            elif command == "AUTH":
                self.server.users.append(rest)
                self._say("235 welcome")
            elif command == "RCPT":
                address = rest.partition("<")[2].partition(">")[0]
                if address in self.server.refused:
                    self._say("550 no such user")
                else:
                    recipients.append(address)
                    self._say("250 ok")
            elif command == "DATA":
                self._say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                text = "".join(line[1:] if line.startswith("..") else line for line in lines)
                self.server.taken.append((recipients, text.replace("\r\n", "\n")))
                self._say("250 taken")
            elif command == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server that listens."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
