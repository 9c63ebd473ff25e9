"""`onefold console`: the console in a process of its own."""

import signal
import stat
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.e2e.service import ONEFOLD, environment
from tests.polling import until
from tests.servers import free_port


def test_the_console_alone(sqlite_template: Path, tmp_path: Path) -> None:
    for name in ("onefold.db", "onefold-inbox.db"):
        (tmp_path / name).write_bytes((sqlite_template / name).read_bytes())
    port = free_port()
    argv = [ONEFOLD, "console", "--port", str(port), "--data-dir", str(tmp_path)]

    def page() -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=2) as response:
                return str(response.read().decode())
        except (URLError, OSError):
            return ""

    with (tmp_path / "console.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment(), stdout=log, stderr=subprocess.STDOUT)
    try:
        until(lambda: "<h1>Log in</h1>" in page() or process.poll() is not None, timeout=60)
        assert process.poll() is None, (tmp_path / "console.log").read_text()
        path = tmp_path / "console.auth"
        assert (path.read_text()[:6], stat.S_IMODE(path.stat().st_mode)) == ("admin:", 0o600)
    finally:
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM  # as uvicorn ends, after it has closed everything
