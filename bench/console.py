"""The console over a large workspace: how long each page's frame takes, and how large it is."""

import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlencode

from sqlalchemy import text

from app.adapters.clock import now_us
from app.console.page import ROOT, WORKSPACE
from app.console.pages import PAGES
from app.console.serving import COOKIE
from app.services import accounts
from bench.load import HOST
from bench.options import Options
from bench.segments import filled
from bench.stack import Stack
from bench.table import BenchError, Row, median, say

#: Of a page's frame. What it loads behind it may take longer.
GOAL_MS, GOAL_BYTES = 200.0, 100 * 1024
TIMES: Final = 9
_ACCOUNT: Final = "bench"
_SOMEBODY: Final = text("select braze_id from profile where workspace_id = :w order by pid desc limit 1")
_TOKEN: Final = re.compile(rb'name="csrf" value="([0-9a-f]+)"')


class Browser:
    """Somebody who is logged in, on one connection."""

    def __init__(self, port: int, password: str) -> None:
        """Raises BenchError."""
        self._connection = HTTPConnection(HOST, port, timeout=30.0)
        self._cookie = ""
        _, page = self.get(f"{ROOT}/log-in")
        token = _TOKEN.search(page)
        if token is None:
            raise BenchError("the log-in has no form")
        form = urlencode({"csrf": token[1].decode(), "name": _ACCOUNT, "password": password})
        status, _ = self._send("POST", f"{ROOT}/log-in", form)
        if status != 303:
            raise BenchError(f"the log-in was answered {status}")

    def get(self, path: str) -> tuple[int, bytes]:
        """(status, body)."""
        return self._send("GET", path, None)

    def _send(self, method: str, path: str, form: str | None) -> tuple[int, bytes]:
        headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request(method, path, form, headers)
        answer = self._connection.getresponse()
        body = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie" and value.startswith(f"{COOKIE}="):
                self._cookie = value.partition(";")[0]
        return answer.status, body


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Median and bytes of every page of the navigation, and of a person. Raises BenchError beyond the aims."""
    site, users = filled(stack, options, with_values=False)
    database = site.open()
    try:
        password = accounts.create(database, _ACCOUNT, {accounts.EVERYWHERE: accounts.ADMIN}, now_us())
        with database.read() as connection:
            somebody = connection.execute(_SOMEBODY, {"w": site.workspace_id}).scalar_one()
    finally:
        database.dispose()
    paths = [page.path for page in PAGES if page.title]
    slow = []
    with stack.api(site, {"ONEFOLD_CONSOLE": "true"}) as port:
        browser = Browser(port, password)
        person = f"{WORKSPACE}/people/{somebody}"
        for path in [*paths, f"{WORKSPACE}/people?q=id1", person, f"{person}/why"]:
            address = ROOT + path.replace("{workspace_id:int}", str(site.workspace_id))
            found, size = _frame(browser, address)
            name = path.removeprefix(WORKSPACE).replace(somebody, "{braze_id}")
            row = Row(f"console, {stack.store}, {users:,} profiles: {name}", found, "ms", None, f"{size:,} bytes")
            say(f"  {row.what}: {found:.1f} ms, {size:,} bytes")
            yield row
            if found > GOAL_MS or size > GOAL_BYTES:
                slow.append(row.what)
    if slow and not options.quick:
        raise BenchError(f"too slow or too large: {', '.join(slow)}")


def _frame(browser: Browser, address: str) -> tuple[float, int]:
    seconds = []
    size = 0
    for _ in range(TIMES):
        began = time.perf_counter()
        status, body = browser.get(address)
        seconds.append(time.perf_counter() - began)
        if status != 200:
            raise BenchError(f"{address} was answered {status}")
        size = len(body)
    return 1_000 * median(seconds), size
