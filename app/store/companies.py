"""Companies: limits that several workspaces share."""

from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from app.store.engine import Database
from app.store.tables import Company
from app.store.workspaces import NameTakenError, UnknownNameError


def create(database: Database, name: str, now_us: int, **limits: Any) -> Company:
    """A new company. `limits` are its columns. Raises NameTakenError."""
    with database.write() as connection, Session(connection) as session:
        if session.exec(select(Company).where(Company.name == name)).first() is not None:
            raise NameTakenError(name)
        values: dict[str, Any] = {"burst_window_seconds": 1, "hourly_refill": "continuous"} | limits
        made = Company(name=name, created_us=now_us, **values)
        session.add(made)
        try:
            session.flush()
        except IntegrityError:  # somebody else took the name since
            raise NameTakenError(name) from None
        session.refresh(made)
        session.expunge(made)
        return made


def get(database: Database, name: str) -> Company:
    """A company by name. Raises UnknownNameError."""
    with database.read() as connection, Session(connection) as session:
        company = session.exec(select(Company).where(Company.name == name)).first()
        if company is None:
            raise UnknownNameError(name)
        session.expunge(company)
        return company


def listed(database: Database) -> list[Company]:
    """All companies by name."""
    with database.read() as connection, Session(connection) as session:
        companies = list(session.exec(select(Company).order_by(col(Company.name))))
        session.expunge_all()
        return companies


def update(database: Database, name: str, values: dict[str, object]) -> None:
    """Overwrite limits of a company. Raises UnknownNameError."""
    with database.write() as connection, Session(connection) as session:
        company = session.exec(select(Company).where(Company.name == name)).first()
        if company is None:
            raise UnknownNameError(name)
        for field, value in values.items():
            setattr(company, field, value)
        session.add(company)
        session.flush()
