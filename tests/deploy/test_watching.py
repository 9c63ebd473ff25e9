"""Alert rules and the dashboard: they name what there is, each alert has its entry for whoever is woken, and a real
Prometheus gives each of their expressions data."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.docs.markdown import ROOT, rows, section
from tests.e2e.service import Service
from tests.missing import lacking
from tests.polling import until
from tests.servers import free_port

PROMETHEUS: Final = ROOT / "deploy/prometheus"
RULES: Final = PROMETHEUS / "onefold.rules.yml"
DASHBOARD: Final = ROOT / "deploy/grafana/onefold.json"
#: What Grafana puts in.
INTERVAL: Final = "$__rate_interval"
TRACKED: Final = {"attributes": [{"external_id": "watched", "seen": {"inc": 1}}]}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Those of the dashboard, by panel and letter."""
    return {f"{panel['title']} {one['refId']}": one["expr"] for panel in panels() for one in panel["targets"]}


def program(name: str) -> str:
    """`prometheus` or `promtool`, of PATH or of the directory PROMETHEUS_BIN."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PROMETHEUS_BIN", ""), os.environ["PATH"])))
    if found is None:
        lacking(
            "prometheus",
            f"no {name}: Debian's package `prometheus`, or PROMETHEUS_BIN with its directory",
        )
    return found


def test_each_alert_has_an_entry_for_whoever_is_woken() -> None:
    named = [rule["alert"] for rule in rules()]
    entries = rows(section("docs/operations.md", "### When an alert fires"))
    assert [entry[0].strip("`") for entry in entries] == named
    assert len(set(named)) == len(named)
    assert all(len(cell) > 20 for entry in entries for cell in entry[1:])
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    tested = (PROMETHEUS / "onefold.rules.test.yml").read_text()
    assert set(re.findall(r'alertname="(\w+)"', tested)) == set(named)


def test_panels_lie_beside_each_other_and_have_one_data_source() -> None:
    document = json.loads(DASHBOARD.read_text())
    places = [panel["gridPos"] for panel in document["panels"]]
    taken = [(p["x"] + x, p["y"] + y) for p in places for x in range(p["w"]) for y in range(p["h"])]
    assert len(set(taken)) == len(taken)
    assert all(0 <= x < 24 for x, _ in taken)
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert [variable["name"] for variable in document["templating"]["list"]] == ["datasource"]
    sources = [target["datasource"] for panel in panels() for target in panel["targets"]]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    assert all(panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in panels())


def test_every_metric_is_one_that_onefold_has() -> None:
    """A name that nobody writes watches nothing."""
    written = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    every = [*expressions().values(), *(rule["expr"] for rule in rules())]
    for name in {name for text in every for name in re.findall(r"onefold_\w+", text)}:
        base = re.sub(r"_bucket$", "", name)
        assert f'"{base}"' in written or f'"{base.removesuffix("_total")}"' in written, name


def test_promtool_takes_the_files_and_each_alert_fires(tmp_path: Path) -> None:
    promtool = program("promtool")
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "onefold.token").write_text("token")
    for words in (("check", "config", "prometheus.yml"), ("test", "rules", "onefold.rules.test.yml")):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def prometheus(folder: Path, target: str, token: str) -> Iterator[str]:
    """A Prometheus with our rules that looks every second; gives its URL."""
    binary = program("prometheus")
    shutil.copytree(PROMETHEUS, folder, dirs_exist_ok=True)
    (folder / "onefold.token").write_text(token)
    config = (folder / "prometheus.yml").read_text().replace("127.0.0.1:8080", target).replace(": 15s", ": 1s")
    (folder / "prometheus.yml").write_text(config)
    url = f"127.0.0.1:{free_port()}"
    options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, *options, f"--web.listen-address={url}"], stdout=log, stderr=log)
        try:
            yield f"http://{url}"
        finally:
            process.kill()
            process.wait()


def asked(url: str, path: str, **parameters: str) -> Any:
    try:
        with urlopen(f"{url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:
            return json.load(response)["data"]
    except OSError:
        return None


def values(url: str, expression: str) -> list[float]:
    """What an instant query gives, without what is no number."""
    found = asked(url, "query", query=expression.replace(INTERVAL, "30s"))
    numbers = [float(one["value"][1]) for one in found["result"]] if found else []
    return [number for number in numbers if number == number]


def test_a_real_prometheus_gives_every_panel_data_and_takes_the_rules(onefold: Service, tmp_path: Path) -> None:
    key = onefold.workspace("legacy")
    token = (onefold.data_dir / "metrics.token").read_text().strip()
    with prometheus(tmp_path, onefold.url.removeprefix("http://"), token) as url:
        until(lambda: values(url, 'up{job="onefold"}') == [1.0], 30, message="it is not read")
        wanted = expressions()

        def empty() -> list[str]:
            onefold.call("POST", "/users/track", TRACKED, key)
            return [name for name, expression in wanted.items() if not values(url, expression)]

        until(lambda: not empty(), 60, 0.5, "these have no data")
        states = {rule["name"]: (rule["state"], rule["health"]) for rule in asked(url, "rules")["groups"][0]["rules"]}
        assert states.keys() == {rule["alert"] for rule in rules()}
        assert {health for _, health in states.values()} == {"ok"}
        assert states["OnefoldDown"][0] == "inactive"
