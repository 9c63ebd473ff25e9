"""A workspace of millions: the database makes further profiles of those that the store has written.

Profile n is what bench.preload says of it, in whatever way it was made: its documents are those of profile n modulo
data.PERIOD, but for its names.
"""

from typing import Final

from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from app.domain.profile import ALIAS, CHANNEL_EMAIL, DEVICES, EMAIL, EXTERNAL, PHONE
from app.store.tables import IdentifierRow, ProfileCore, ProfileCustom, ProfilePart, ProfileRow
from bench import data

#: How often the digits of a profile's number stand in its documents: in e-mail address, two aliases, and a device.
_NUMBERED: Final = 4


def shifted(connection: Connection, workspace_id: int, by: int, most: int) -> None:
    """Of each of the first data.PERIOD profiles another one, whose number is greater by so many and less than `most`,
    with all that leads to it."""
    postgresql = connection.dialect.name == "postgresql"
    old, new = "(t.pid - 1)", "(t.pid - 1 + :by)"
    changed: dict[type[SQLModel], dict[str, str]] = {
        ProfileRow: {
            "braze_id": f"lpad(to_hex({new}), 24, '0')" if postgresql else f"printf('%024x', {new})",
            "external_id": f"'id-' || {_eight(new, postgresql)}",
            "size": f"t.size + {_NUMBERED} * (length({_text(new)}) - length({_text(old)}))",
        },
        ProfileCore: {"doc": _core(old, new, postgresql)},
        ProfileCustom: {},
        ProfilePart: {
            "doc": f"case when t.part = {DEVICES} then {_replaced('t.doc', 'device-', old, new)} else t.doc end"
        },
        IdentifierRow: {
            "value": f"case t.kind when {EXTERNAL} then 'id-' || {_eight(new, postgresql)}"
            f" when {EMAIL} then {_address(new)} when {PHONE} then '+346' || {_eight(new, postgresql)}"
            f" when {ALIAS} then t.label || '-' || {_text(new)} end",
        },
    }
    inserts = []
    for model, expressions in changed.items():
        values = {"pid": "t.pid + :by", **expressions}
        selected = [values.get(name, f"t.{name}") for name in _columns(model)]
        inserts.append((str(model.__tablename__), _columns(model), selected, str(model.__tablename__)))
    constants = {"workspace_id": "t.workspace_id", "channel": str(CHANNEL_EMAIL), "address": _address(new)}
    constants |= {"group_id": "''", "state": "'opted_in'", "changed_us": str(data.WRITTEN_US)}
    inserts.append(("address_state", list(constants), list(constants.values()), "profile"))
    for table, columns, selected, source in inserts:
        statement = text(
            f"insert into {table} ({', '.join(columns)}) select {', '.join(selected)} from {source} t"
            f" where t.workspace_id = :workspace_id and t.pid <= {data.PERIOD} and t.pid + :by <= :most"
        )
        connection.execute(statement, {"workspace_id": workspace_id, "by": by, "most": most})


def _columns(model: type[SQLModel]) -> list[str]:
    return [column.name for column in SQLModel.metadata.tables[str(model.__tablename__)].columns]


def _core(old: str, new: str, postgresql: bool) -> str:
    """The reserved fields of profile `old` with the names of profile `new`."""
    document = "t.doc"
    for before in ('"crm-', '"web-', '"id'):
        document = _replaced(document, before, old, new)
    return f"replace({document}, '+346' || {_eight(old, postgresql)}, '+346' || {_eight(new, postgresql)})"


def _replaced(document: str, before: str, old: str, new: str) -> str:
    return f"replace({document}, '{before}' || {_text(old)}, '{before}' || {_text(new)})"


def _address(number: str) -> str:
    return f"'id' || {_text(number)} || '@example.org'"


def _text(number: str) -> str:
    return f"cast({number} as text)"


def _eight(number: str, postgresql: bool) -> str:
    return f"lpad({_text(number)}, 8, '0')" if postgresql else f"printf('%08d', {number})"
