"""What the installation knows of its own database."""

from sqlmodel import SQLModel

from app.store.tables.columns import small, text


class OriginRow(SQLModel, table=True):
    """Where the database has its numbers from, one row: see app.store.origin."""

    __tablename__ = "origin"

    #: 1.
    id: int = small(key=True)
    #: Under which others remember its numbers: random, and another one since a backup was restored.
    key: str = text()
    #: The server that gave the numbers out last, as far as it can be told; "" = it cannot.
    place: str = text()
