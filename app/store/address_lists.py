"""Lists of addresses by what is recorded of them: each has an index of its own."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from app.domain.profile import HARD_BOUNCED, INVALID, UNSUBSCRIBED
from app.store.bulk import encode

#: By topic, the rows of a list as its index has them: literals, since a partial index needs to be recognised.
_ROWS: Final = {
    "": f"t.group_id = '' and t.state = '{UNSUBSCRIBED}'",
    HARD_BOUNCED: f"t.group_id = '{HARD_BOUNCED}'",
    INVALID: f"t.group_id = '{INVALID}'",
}
_FROM_ALL: Final = "address_state t where"
_FROM_SOME_POSTGRESQL: Final = (
    "jsonb_array_elements_text(cast(:addresses as jsonb)) as each(value)"
    " join address_state t on t.address = each.value and"
)
_FROM_SOME_SQLITE: Final = "json_each(:addresses) as each cross join address_state t on t.address = each.value and"
_PAGE: Final = """
    select t.address, t.changed_us, t.state from {source} t.workspace_id = :workspace_id and {rows}
    and t.channel = :channel and t.changed_us >= :first_us and t.changed_us < :end_us
    and (t.forget_us is null or t.forget_us > :now_us) {reason}
    order by t.changed_us {order}, t.address {order} limit :limit offset :offset
"""


def page(
    connection: Connection,
    workspace_id: int,
    channel: int,
    topic: str,
    *,
    first_us: int,
    end_us: int,
    now_us: int,
    addresses: Sequence[str] | None,
    state: str | None,
    ascending: bool,
    limit: int,
    offset: int,
) -> list[tuple[str, int, str]]:
    """(address, when, state) of a page of a list: of all addresses, or of some; of one state, or of any."""
    source = _FROM_ALL
    if addresses is not None:
        source = _FROM_SOME_POSTGRESQL if connection.dialect.name == "postgresql" else _FROM_SOME_SQLITE
    statement = _PAGE.format(
        source=source,
        rows=_ROWS[topic],
        reason="" if state is None else "and t.state = :state",
        order="asc" if ascending else "desc",
    )
    values: dict[str, object] = {
        "workspace_id": workspace_id,
        "channel": channel,
        "first_us": first_us,
        "end_us": end_us,
        "now_us": now_us,
        "limit": limit,
        "offset": offset,
    }
    if addresses is not None:
        values["addresses"] = encode(list(addresses))
    if state is not None:
        values["state"] = state
    return [(row[0], row[1], row[2]) for row in connection.execute(text(statement), values)]
