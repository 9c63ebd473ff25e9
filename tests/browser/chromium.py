"""Chromium, driven through Playwright by a Node process (driver.js) that a test talks to line by line."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from tests.polling import until

INSTALLED: Final = Path(__file__).parents[2] / ".clients"
DRIVER: Final = Path(__file__).with_name("driver.js")
#: Names of the browser, and the variable that says where it is otherwise.
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE: Final = "CHROMIUM"
#: Where batches go.
DATA: Final = "**/v1/sdk/data"

Json = dict[str, Any]
Meddling = Literal["hold", "lose", "fail", "pass"] | int


class BrowserUnavailable(Exception):  # noqa: N818 - it is a fact about this machine
    """There is no browser here, and how to get one."""


class Driver:
    """The Node process. Everything that a test holds of it is a number there."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.answer()

    def call(self, of: int, method: str, *arguments: object) -> Any:
        """What a method of Playwright gives: a JSON value, or a Held of one of its objects."""
        assert self._process.stdin is not None
        print(json.dumps({"of": of, "method": method, "arguments": arguments}), file=self._process.stdin, flush=True)
        answer = self.answer()
        return answer["object"] if "object" in answer else answer.get("value")

    def answer(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the driver of the browser has ended"
        answer: Json = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer


class Page:
    """A tab."""

    def __init__(self, driver: Driver, number: int) -> None:
        self._driver = driver
        self._number = number

    def call(self, method: str, *arguments: object) -> Any:
        """Any other method of Playwright's Page."""
        return self._driver.call(self._number, method, *arguments)

    def open(self, url: str) -> None:
        self.call("goto", url)

    def reload(self) -> None:
        self.call("reload")

    def run(self, function: str, argument: object = None) -> Any:
        """Call a JavaScript function in the page, such as `(x) => x + 1`, and wait for what it promises."""
        return self.call("evaluate", f"({function})({json.dumps(argument)})")

    def fill(self, selector: str, text: str) -> None:
        self.call("fill", selector, text)

    def click(self, selector: str) -> None:
        self.call("click", selector)

    def text(self, selector: str) -> str:
        found: str = self.call("innerText", selector)
        return found

    def shows(self, text: str, selector: str = "body", timeout: float = 15.0) -> None:
        """Wait until a part of the page has a text."""
        until(lambda: text in self.text(selector), timeout, 0.05, f"{selector} does not show {text!r}")

    def crash(self) -> None:
        """The page dies: no event of it runs any more."""
        self.call("crash")

    def close(self) -> None:
        """As a visitor closes a tab, whose last events run."""
        self.call("close", {"runBeforeUnload": False})


class Visitor:
    """A browser profile: storage of its own, and what it asked of the network."""

    def __init__(self, driver: Driver, number: int) -> None:
        self._driver = driver
        self._number = number
        self._driver.call(number, "watch")

    def call(self, method: str, *arguments: object) -> Any:
        """Any other method of Playwright's BrowserContext."""
        return self._driver.call(self._number, method, *arguments)

    def page(self, url: str | None = None) -> Page:
        page = Page(self._driver, self.call("newPage"))
        if url is not None:
            page.open(url)
        return page

    def before(self, script: str) -> None:
        """Run a script in each page before anything of its own."""
        self.call("addInitScript", {"content": script})

    def offline(self) -> None:
        self.call("offline")

    def online(self) -> None:
        self.call("online")

    def meddle(self, how: Meddling, pattern: str = DATA) -> None:
        """What becomes of requests to some addresses: see driver.js."""
        self.call("meddle", pattern, how)

    def requests(self, part: str = "") -> list[Json]:
        """What was asked of addresses with this part so far: `method`, `url`, `body`, and `status` once it is there."""
        return [one for one in self.call("requests") if part in one["url"]]

    def errors(self) -> list[str]:
        """What pages raised, or wrote to the console as errors."""
        found: list[str] = self.call("errors")
        return found

    def close(self) -> None:
        self.call("close")


class Chromium:
    """A running browser."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._visitors: list[Visitor] = []

    def visitor(self, **options: object) -> Visitor:
        """A new visitor, with options of Playwright's `newContext`: `locale`, `timezoneId`, `userAgent` …"""
        made = Visitor(self._driver, self._driver.call(0, "newContext", options))
        self._visitors.append(made)
        return made

    def forget(self) -> None:
        """Close what visitors have open."""
        while self._visitors:
            self._visitors.pop().close()


def program() -> str:
    """Where Chromium is. Raises BrowserUnavailable."""
    named = os.environ.get(VARIABLE)
    found = [path for name in ((named,) if named else NAMES) if (path := shutil.which(name))]
    if not found:
        raise BrowserUnavailable(f"no Chromium: apt-get install chromium, or set {VARIABLE} to where one is")
    return found[0]


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser as long as the block lasts. Raises BrowserUnavailable."""
    node = shutil.which("node")
    if node is None or not (INSTALLED / "node_modules" / "playwright-core").is_dir():
        raise BrowserUnavailable("no Node, or no playwright-core: see `make clients`")
    argv = [node, str(DRIVER), program()]
    process = subprocess.Popen(
        argv,
        env=os.environ | {"NODE_PATH": str(INSTALLED / "node_modules")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Chromium(Driver(process))
    finally:
        assert process.stdin is not None
        process.stdin.close()  # which ends it, and with it the browser
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        assert process.stdout is not None
        process.stdout.close()
