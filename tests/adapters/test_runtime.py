"""What processes ask of the C library, and what they leave behind."""

import platform
import subprocess
import sys
from typing import Final

import pytest

from tests.missing import needed
from tests.servers import valkey

#: Threads make large blocks and free them, three times; prints how much the process has grown by then, in MB.
PROGRAM: Final = """
import sys, threading
import psutil
from app.adapters import runtime
if sys.argv[1] == "yes":
    runtime.give_memory_back()
meeting = threading.Barrier(8)
def work():
    for size in (3_000_000, 6_000_000, 7_000_000):
        blocks = [bytes(size), b"small", bytes(size // 2)]
        meeting.wait()
        del blocks
        meeting.wait()
    meeting.wait()
    meeting.wait()
before = psutil.Process().memory_info().rss
threads = [threading.Thread(target=work) for _ in range(7)]
for thread in threads:
    thread.start()
for _ in range(7):
    meeting.wait()
print((psutil.Process().memory_info().rss - before) // 1_000_000)
meeting.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such switch")
def test_freed_blocks_of_threads_are_given_back() -> None:
    kept = {}
    for asked in ("yes", "no"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, asked], capture_output=True, text=True, check=True)
        kept[asked] = int(done.stdout)
    print(kept)
    assert kept["yes"] < 5
    assert kept["yes"] < kept["no"] / 2, "the C library gives it back by itself: it need not be asked"


#: Asks the broker as the sweeper does once a minute; prints how many objects it leaves behind.
ASKING: Final = """
import gc, sys
from app.adapters.doorbell import Doorbell
from app.bootstrap import background
from app.settings import Settings
settings = Settings(redis_url=sys.argv[1])
bell = Doorbell(background.celery(settings, producer=True), settings.redis(), "t:", lambda workspace_id: "")
assert not bell.has_jobs_sent()
gc.disable()
before = len(gc.get_objects())
for _ in range(150):
    assert not bell.has_jobs_sent()
print(len(gc.get_objects()) - before)
"""


def test_a_question_to_the_broker_leaves_nothing_behind() -> None:
    with needed(valkey()) as server:
        done = subprocess.run([sys.executable, "-c", ASKING, server.url], capture_output=True, text=True, check=True)
    print(done.stdout)
    assert int(done.stdout) < 500
