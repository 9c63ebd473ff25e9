"""GET /sdk/onefold.js: what is served is what the build made, small, and known by its hash."""

import gzip
import re
import uuid

import httpx
import pytest

from app.api.sdk import script
from tests.api.harness import Service

#: Gzipped (issue: the smallest SDK with a queue of others has 17 KB).
MAX_BYTES = 8 * 1024


def get(service: Service, path: str, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.loop.run(service._client.get(path, headers=sent))


@pytest.mark.parametrize("path", script.FILES)
def test_the_script_is_served_with_its_hash_to_any_page(service: Service, path: str) -> None:
    served = get(service, path, Origin="https://shop.example.org")
    content = script.read(script.FILES[path])
    assert (served.status_code, served.content) == (200, content)
    kind = "text/plain" if path.endswith(".ts") else "text/javascript"
    assert served.headers["content-type"].startswith(kind)
    assert served.headers["x-integrity"] == script.integrity(content)
    assert served.headers["access-control-allow-origin"] == "*"
    assert served.headers["cache-control"] == script.CACHED
    assert uuid.UUID(served.headers["x-request-id"])
    again = get(service, path, If_None_Match=served.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", script.FILES)
def test_the_script_is_small(path: str) -> None:
    assert len(gzip.compress(script.read(script.FILES[path]), 9)) <= MAX_BYTES


def test_the_types_name_what_the_script_exports() -> None:
    exported = re.search(rb"export ?\{([^}]*)\}", script.read("onefold.mjs"))
    assert exported
    names = {name.split(b" as ")[-1].strip() for name in exported[1].split(b",")}
    assert names == set(re.findall(rb"export declare (?:function|const) (\w+)", script.read("onefold.d.ts")))


def test_the_script_asks_no_other_host() -> None:
    assert b"http://" not in script.read("onefold.js")
    assert b"https://" not in script.read("onefold.js")
