"""Pages of somebody's site: HTML by path, and files of a folder, served on the loopback by a thread."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html", ".css": "text/css"}


@contextmanager
def site(pages: Mapping[str, str], files: Path | None = None) -> Iterator[str]:
    """The origin of a site, `http://127.0.0.1:PORT`, as long as the block lasts. `files` are below `/files/`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            content = pages[path].encode() if path in pages else _read(files, path)
            self.send_response(200 if content is not None else 404)
            kind = _TYPES.get(Path(path).suffix, "text/html")
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _read(files: Path | None, path: str) -> bytes | None:
    if files is None or not path.startswith("/files/"):
        return None
    found = (files / path.removeprefix("/files/")).resolve()
    return found.read_bytes() if found.is_relative_to(files.resolve()) and found.is_file() else None
