"""deploy/: what Kubernetes and systemd are given, against their own schemas, and against docker-compose.yml, whose
commands a test starts with the environment of the file (tests/e2e/test_compose.py)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.missing import lacking

ROOT = Path(__file__).parents[2]
MANIFESTS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
UNITS = {"api": "onefold-api", "worker": "onefold-worker", "jobs": "onefold-jobs"}
#: In .clients: `make clients`. A version of Kubernetes that is old by now, and one that is new.
PACKAGES = ROOT / ".clients" / "kubernetes"
VERSIONS = ("1.31", "1.36")
VALIDATE = """
import sys, yaml, kubernetes_validate
for path in sys.argv[2:]:
    for document in yaml.safe_load_all(open(path)):
        kubernetes_validate.validate(document, sys.argv[1], strict=True)
"""


def documents() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS if path.stem != "kustomization" for each in yaml.safe_load_all(path.read_text())]


def pods() -> dict[str, dict[str, Any]]:
    """Templates of pods by what makes them."""
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in documents() if "template" in each.get("spec", {})
    }


def composed() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_keep_to_the_schemas_of_kubernetes(version: str) -> None:
    if not PACKAGES.is_dir():
        lacking("kubernetes-validate", "no kubernetes-validate: `make clients` could not install it")
    files = [str(path) for path in MANIFESTS if path.stem != "kustomization"]
    argv = [sys.executable, "-c", VALIDATE, version, *files]
    done = subprocess.run(argv, env={"PYTHONPATH": str(PACKAGES)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_kustomization_has_every_manifest() -> None:
    named = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yaml").read_text())["resources"]
    assert sorted(named) == [path.name for path in MANIFESTS if path.stem != "kustomization"]
    assert {each["metadata"].get("namespace", "onefold") for each in documents()} == {"onefold"}


def test_pods_run_what_compose_runs_and_a_test_starts() -> None:
    services = composed()
    for name, of_compose in {"api": "api", "worker": "worker", "jobs": "jobs", "schema": "admin"}.items():
        (container,) = pods()[name]["spec"]["containers"]
        args = container["args"]
        assert (args[:1] if name == "worker" else args) == services[of_compose]["command"], name
        settings = {name for source in container["envFrom"] for name in source}
        assert settings == {"configMapRef"}
    (redis,) = pods()["redis"]["spec"]["containers"]
    assert redis["args"][:1] + redis["args"][2:] == services["redis"]["command"][:1] + services["redis"]["command"][2:]
    (given,) = (each["data"] for each in documents() if each["kind"] == "ConfigMap")
    assert given.keys() == services["api"]["environment"].keys() - {"ONEFOLD_METRICS_TOKEN"}


def test_no_pod_has_more_rights_than_needed() -> None:
    for name, template in pods().items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        # Else a service called `onefold-metrics` sets ONEFOLD_METRICS_PORT, to what is no port.
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"].keys() >= {"memory"}, name
            assert name == "schema" or "livenessProbe" in container, name
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            claims = {each["metadata"]["name"] for each in _claims(name)}
            assert mounts == {volume["name"] for volume in spec["volumes"]} | claims, name


def _claims(name: str) -> list[dict[str, Any]]:
    makers = (
        each["spec"] for each in documents() if each["metadata"]["name"] == name and "template" in each.get("spec", {})
    )
    found: list[dict[str, Any]] = next(makers).get("volumeClaimTemplates", [])
    return found


def test_each_role_of_the_database_has_a_secret_of_its_own() -> None:
    used = {
        name: {volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume}
        for name, template in pods().items()
    }
    assert used == {
        "api": {"onefold-api", "onefold-redis"},
        "worker": {"onefold-worker", "onefold-redis"},
        "jobs": {"onefold-worker", "onefold-redis"},
        "schema": {"onefold-owner", "onefold-redis"},
        "redis": {"onefold-redis"},
    }


@pytest.mark.parametrize("name", UNITS)
def test_units_run_what_compose_runs(name: str) -> None:
    unit = (ROOT / f"deploy/systemd/{UNITS[name]}.service").read_text()
    (command,) = re.findall(r"^ExecStart=/opt/onefold/.venv/bin/onefold (.+)$", unit, re.MULTILINE)
    assert command.replace("127.0.0.1", "0.0.0.0").split() == composed()[name]["command"]
    set_ = set(re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE))
    elsewhere = {"ONEFOLD_TRUSTED_PROXIES", "ONEFOLD_METRICS_TOKEN"}
    assert set_ == composed()[name]["environment"].keys() - elsewhere | {"ONEFOLD_DATA_DIR"}
    assert "ONEFOLD_TRUSTED_PROXIES=" in (ROOT / "deploy/systemd/onefold.env").read_text()


def test_units_as_systemd_reads_them(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        lacking("systemd-analyze", "no systemd-analyze: it comes with Debian's systemd")
    paths: list[Path] = []
    for name in UNITS.values():
        text = (ROOT / f"deploy/systemd/{name}.service").read_text()
        paths.append(tmp_path / f"{name}.service")
        paths[-1].write_text(text.replace("/opt/onefold/.venv/bin/onefold", "/bin/true"))
    done = subprocess.run([analyze, "verify", *paths], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    # 0 is nothing that could be taken away, 10 everything; a unit without any of it has 9.6.
    argv = [analyze, "security", "--offline=true", "--threshold=20", *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]
