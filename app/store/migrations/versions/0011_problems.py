"""Problems: one row for a request, in place of one for each part of it that had no effect."""

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"

_SAME = "workspace_id, stream, seq, day"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    postgresql = op.get_bind().dialect.name == "postgresql"
    op.execute("alter table problem rename to former_problem")
    if postgresql:
        op.execute("alter index problem_pkey rename to former_problem_pkey")
    op.create_table(
        "problem",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("stream", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("day", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "stream", "seq", "day"),
        postgresql_partition_by="RANGE (day)",
    )
    if postgresql:
        _partitions()
        entry, together = "json_build_array(input_array, position, field, reason)", "json_agg(%s order by ordinal, n)"
        rows = "former_problem"
    else:
        entry, together = "json_array(input_array, position, field, reason)", "json_group_array(%s)"
        rows = f"(select * from former_problem order by {_SAME}, ordinal, n)"
    op.execute(
        f"insert into problem ({_SAME}, doc) select {_SAME}, cast({together % entry} as text) from {rows} as f"
        f" group by {_SAME}"
    )
    op.execute("drop table former_problem")


def _partitions() -> None:
    """The days that there were, and whose they were: a worker's role drops its own."""
    connection = op.get_bind()
    op.execute(
        "do $$ begin alter table problem alter column doc set compression lz4; "
        "exception when feature_not_supported then null; end $$"
    )
    names = connection.exec_driver_sql(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'former_problem'::regclass"
    ).scalars()
    owner = connection.exec_driver_sql(
        "select quote_ident(pg_get_userbyid(relowner)) from pg_class where oid = 'former_problem'::regclass"
    ).scalar_one()
    for name in sorted(names):
        number = name.removeprefix("problem_")
        bounds = f"for values from ({number}) to ({int(number) + 1})" if number.isdigit() else "default"
        op.execute(f"alter table {name} rename to former_{name}")
        op.execute(f"alter index {name}_pkey rename to former_{name}_pkey")
        op.execute(f"create table {name} partition of problem {bounds}")
        op.execute(f"alter table {name} owner to {owner}")
    op.execute(f"alter table problem owner to {owner}")
