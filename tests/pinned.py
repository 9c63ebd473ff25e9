"""Whether a statement says in each of its selects which workspace it is about, or has the mark of app.store.reach.

On several nodes a select that leaves it to the one around it (`s.workspace_id = t.workspace_id`) is refused, or asks
all nodes; and one without the mark fails for everybody while a node is away. While tests run, every statement that the
application sends to PostgreSQL is looked at once.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlmodel import SQLModel

from app.store import distribution, tables
from app.store.reach import narrowed

_ROOT: Final = Path(__file__).parents[1]
_DISTRIBUTED: Final = frozenset(
    str(table.name)
    for table in SQLModel.metadata.tables.values()
    if tables and distribution.kind(table) is distribution.Kind.DISTRIBUTED
)
#: They make tables.
_MIGRATIONS: Final = "app/store/migrations/"
#: Modules that send what others made.
_CARRIERS: Final = frozenset(("binary.py", "bulk.py", "chunks.py", "direct.py", "queries.py"))
_PARAMETER: Final = r"(?:(?:cast\s*\(\s*)?(?:%\(\w+\)s|%s|\$\d+|:\w+)|any\(''::bigint\[\]\))"
#: A table that is written, and the tables that are read: up to the word that ends their list.
_WRITTEN: Final = re.compile(r"\b(into|update)\s+(?:only\s+)?([a-z_0-9]+)(?:\s+(?:as\s+)?([a-z_0-9]+))?")
_READ: Final = re.compile(
    r"(?<!distinct )\b(?:from|using)\s(.*?)(?=\bwhere\b|\bgroup by\b|\border by\b|\bhaving\b|\blimit\b|\boffset\b"
    r"|\breturning\b|\bfor (?:no key )?update\b|\bon conflict\b|\bset\b|$)",
    re.DOTALL,
)
_ITEM: Final = re.compile(r"\s*(?:only\s+)?([a-z_0-9]+)(?:\s+(?:as\s+)?([a-z_0-9]+))?")
_NO_ALIAS: Final = frozenset(
    [
        "where",
        "set",
        "on",
        "left",
        "right",
        "inner",
        "cross",
        "full",
        "natural",
        "order",
        "group",
        "limit",
        "for",
        "using",
        "values",
        "select",
        "default",
        "tablesample",
        "join",
    ]
)
_PARTITION: Final = re.compile(r"_(?:\d+|default)$")
_BEGINS: Final = re.compile(r"\s*(?:select|with|insert|update|delete)\b")
_UNIONS: Final = re.compile(r"\b(?:union all|union|except|intersect)\b")


def unpinned(statement: str) -> list[str]:
    """Tables of workspaces, by alias, of which the select that they are in does not say whose rows it means, also where
    only some workspaces can be reached."""
    plain = re.sub(r"'(?:[^']|'')*'", "''", narrowed(statement, [1]).lower()).replace('"', "")
    plain = re.sub(r"--[^\n]*", "", plain)
    return [alias for level in _levels(plain) for alias in _loose(level)]


def _levels(text: str) -> Iterator[str]:
    """Each select of a statement, without those inside it, which come by themselves."""
    own: list[str] = []
    starts: list[tuple[int, bool]] = []
    depth_of_inner = 0
    for place, letter in enumerate(text):
        if letter == "(":
            is_select = bool(_BEGINS.match(text, place + 1))
            starts.append((place, is_select))
            if is_select:
                depth_of_inner += 1
                if depth_of_inner == 1:
                    own.append("( )")
                continue
        elif letter == ")" and starts:
            start, is_select = starts.pop()
            if is_select:
                depth_of_inner -= 1
                if depth_of_inner == 0:
                    yield from _levels(text[start + 1 : place])
                continue
        if not depth_of_inner:
            own.append(letter)
    yield from _UNIONS.split("".join(own))


def _loose(level: str) -> list[str]:
    if re.search(r"\bwhere false\b", level):
        return []  # of nobody
    found = {alias: table for table, alias in _references(level) if _base(table) in _DISTRIBUTED}
    pinned = {alias for alias in found if re.search(rf"\b{alias}\.workspace_id = {_PARAMETER}", level)}
    if len(found) == 1 and re.search(rf"(?<![.\w])workspace_id = {_PARAMETER}", level):
        pinned |= found.keys()
    # In one select a join by the column is as good.
    joined = [{one, other} for one, other in re.findall(r"\b(\w+)\.workspace_id = (\w+)\.workspace_id\b", level)]
    for pair in joined * len(joined):
        if pair <= found.keys() and pair & pinned:
            pinned |= pair
    return sorted(found.keys() - pinned)


def _references(level: str) -> Iterator[tuple[str, str]]:
    """(table, alias) of each that the select, or the write, names itself."""
    for how, table, alias in _WRITTEN.findall(level):
        columns = re.search(rf"\binto\s+{table}\s*\(([^)]*)\)", level)
        if how == "update" or columns is None or "workspace_id" not in columns[1]:
            yield table, alias if alias and alias not in _NO_ALIAS else table
    for read in _READ.findall(level):
        for item in re.split(r",|\bjoin\b", _without_parentheses(read)):
            match = _ITEM.match(item)
            if match is not None:
                table, alias = match.groups()
                yield table, alias if alias and alias not in _NO_ALIAS else table


def _without_parentheses(text: str) -> str:
    shorter = re.sub(r"\([^()]*\)", "", text)
    return text if shorter == text else _without_parentheses(shorter)


def _base(table: str) -> str:
    return table if table in _DISTRIBUTED else _PARTITION.sub("", table)


#: Functions whose statements mean rows of all workspaces, and not only of those that can be reached.
EXPLAINED: Final = {
    ("app/store/jobs.py", "with_files"): "whatever it does not name is removed",
    ("app/store/lane.py", "begin_epoch"): "a restored database is another one for all workspaces",
    ("app/store/partitions.py", "_expire_default"): "not done while a node is away",
    ("app/store/partitions.py", "needed"): "not done while a node is away",
    ("app/store/segments/values.py", "different"): "the doctor compares copies of one workspace, which it names",
}


class Watch:
    """Statements that the application sent, and which of them leave it open whose rows they mean."""

    def __init__(self) -> None:
        #: (file below the project, function) that sent it -> statement.
        self.open: dict[tuple[str, str], str] = {}
        self._seen: set[str] = set()

    def unexplained(self) -> dict[tuple[str, str], str]:
        """Those that were sent since this was asked last, without those that are meant so."""
        found, self.open = self.open, {}
        return {sender: statement for sender, statement in found.items() if sender not in EXPLAINED}

    def look(self, statement: object) -> None:
        text = statement.decode() if isinstance(statement, bytes) else statement
        if not isinstance(text, str) or text in self._seen:
            return
        sender = _sender()
        if sender is None:
            return
        self._seen.add(text)
        if not sender[0].startswith(_MIGRATIONS) and unpinned(text):
            self.open[sender] = text


def _sender() -> tuple[str, str] | None:
    """Whoever called the driver, by way of libraries; None: a test did."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if "site-packages" not in name and name.startswith(str(_ROOT)) and not name.endswith("/pinned.py"):
            path = Path(name).relative_to(_ROOT)
            if path.parts[0] in ("app", "workers") and path.name not in _CARRIERS:
                return str(path), frame.f_code.co_name
            if path.parts[0] == "tests":
                return None
        frame = frame.f_back
    return None


watch: Final = Watch()


class Watched(psycopg.Cursor[Any]):
    """A cursor whose statements are looked at."""

    def execute(self, query: Any, *values: Any, **named: Any) -> Any:
        watch.look(query)
        return super().execute(query, *values, **named)

    def executemany(self, query: Any, *values: Any, **named: Any) -> Any:
        watch.look(query)
        return super().executemany(query, *values, **named)
