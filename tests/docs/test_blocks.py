"""The shell blocks of README, guide and API pages do what the pages say.

A page is one session of a shell: its blocks run in order and see each other's variables. A block that is not to be
run has a line `<!-- not run: why -->` before it. A JSON block right behind a shell block is what its last command
prints; ids and times in it are those of some day.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.docs.markdown import ROOT, Block, blocks
from tests.e2e.service import Service, environment
from tests.missing import missing
from tests.polling import until

#: The pages about SDKs come last: they log in as people whom others have, which merges profiles into them.
PAGES = [
    *("README.md", "docs/guide.md"),
    *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("docs/api/*.md"))),
    *("docs/sdk.md", "docs/tracking.md", "docs/visitors.md"),
]
#: The address in the pages.
ADDRESS = "http://127.0.0.1:8080"
#: Printed by the shell before each block.
MARK = "\x1e"
WITHHELD = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "a time"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "a request id"),
    (re.compile(r"[0-9a-f]{24}"), "a braze_id"),
]


@pytest.fixture(scope="module")
def checkout(onefold: Service) -> Iterator[Path]:
    """A directory in which the data of the running Onefold is `var`, as beside `make run`."""
    if shutil.which("curl") is None:
        missing("no curl")
    with TemporaryDirectory(prefix="onefold-") as folder:
        (Path(folder) / "var").symlink_to(onefold.data_dir)
        yield Path(folder)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page(page: str, onefold: Service, checkout: Path, forked_onefold: str) -> None:
    run = [block for block in blocks(page) if block.language == "sh" and not block.not_run]
    assert run, f"{page} shows nothing to run"
    until(lambda: not busy(onefold), 60, message="a job of a page before this one still runs")
    for block, printed in zip(run, outputs(onefold, checkout, forked_onefold, page, run), strict=True):
        if block.answer:
            last = printed.strip().split("\n")[-1]
            shown, found = json.loads(block.answer), json.loads(last)
            assert timeless(found) == timeless(shown), f"{page}:{block.line}: prints {last}"


def busy(service: Service) -> bool:
    """Whether a job that an earlier page started is not done, which this page would show among its own.

    Jobs that wait for a day to come are none of these.
    """
    status, jobs, _ = service.call("GET", "/v1/jobs")
    assert status == 200, jobs
    return any(job["state"] == "running" or (job["state"] == "queued" and "due_at" not in job) for job in jobs["jobs"])


def outputs(service: Service, checkout: Path, command: str, page: str, run: list[Block]) -> list[str]:
    """What each block prints on standard output. A command that fails, curl with a 4xx or 5xx too, fails the test."""
    (checkout / ".curlrc").write_text('fail-with-body\nshow-error\nmax-time = 40\nwrite-out = "\\n"\n')
    script = "".join(f"printf '{MARK}%s' {n}:\n{block.text}\n" for n, block in enumerate(run))
    script = script.replace(ADDRESS, service.url)
    env = environment(
        {
            "PATH": f"{Path(command).parent}{os.pathsep}{os.environ['PATH']}",
            "CURL_HOME": str(checkout),
            "ONEFOLD_DATA_DIR": "var",
            "DATABASE_URL": service.database_url,
            "URL": service.url,
            "KEY": service.key,
            "COLUMNS": "200",
        }
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=checkout,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    printed = [re.sub(r"^\d+:", "", part) for part in done.stdout.split(MARK)[1:]]
    failed = run[len(printed) - 1]
    assert done.returncode == 0, f"{page}:{failed.line}: {shlex.quote(failed.text)}\n{printed[-1:]}\n{done.stderr}"
    return printed


def timeless(value: Any) -> Any:
    """A JSON value without what differs from run to run: ids, times of today, the random bucket."""
    if isinstance(value, dict):
        return {name: timeless(member) for name, member in value.items() if name != "random_bucket"}
    if isinstance(value, list):
        return [timeless(member) for member in value]
    if isinstance(value, str):
        return next((name for pattern, name in WITHHELD if pattern.fullmatch(value)), value)
    return value
