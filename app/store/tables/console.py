"""Accounts of the console, their roles and sessions, and what they did. They belong to the installation."""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.store.tables.columns import STAYS, big, binary, text


class Account(SQLModel, table=True):
    """Somebody who may log in to the console. `password` is salted and hashed: app.services.passwords."""

    __tablename__ = "console_account"

    name: str = text(key=True)
    password: str = text()
    created_us: int = big()


class AccountRole(SQLModel, table=True):
    """What an account may do in a workspace; in workspace 0: in all of them."""

    __tablename__ = "console_role"
    __table_args__ = ({"info": {STAYS: True}},)

    workspace_id: int = big(key=True)
    account: str = text(key=True)
    #: One of app.services.accounts.ROLES.
    role: str = text()


class ConsoleSession(SQLModel, table=True):
    """A browser that is logged in: the SHA-256 of what its cookie holds."""

    __tablename__ = "console_session"
    __table_args__ = (Index("console_session_account", "account", "created_us"),)

    digest: bytes = binary(key=True)
    account: str = text()
    created_us: int = big()
    #: To the minute.
    seen_us: int = big()


class Act(SQLModel, table=True):
    """Something that an account did. It holds names that operators gave, and nothing of people."""

    __tablename__ = "console_act"
    __table_args__ = (Index("console_act_workspace", "workspace_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    us: int = big()
    account: str = text()
    #: 0 = of the installation.
    workspace_id: int = big()
    #: Such as `keys.create`.
    act: str = text()
    #: What it was done to, such as the name of a key.
    target: str = text()
    #: From where.
    address: str = text()
    #: What it was answered, as an HTTP status; None while it is under way, or when the process died in it.
    status: int | None = big(nullable=True)
