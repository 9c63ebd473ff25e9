"""${message}"""

from alembic import context, op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    parts = context.config.attributes["parts"]
    ${upgrades if upgrades else "pass"}
