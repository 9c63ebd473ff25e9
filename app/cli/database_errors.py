"""Why a database failed, in words without a value: what PostgreSQL and SQLite say names roles, hosts and rows."""

import re
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

#: SQLSTATE of PostgreSQL for what a role may not do.
_FORBIDDEN: Final = "42501"
#: What stands in a message, and what it comes to. The first that is found counts.
_REASONS: Final = tuple(
    (re.compile(words, re.IGNORECASE), told)
    for words, told in (
        ("password authentication failed", "it refuses the password"),
        ("no password supplied", "it asks for a password"),
        ("root certificate file .* does not exist", "sslrootcert names no file"),
        ("certificate verify failed", "its certificate is not of an authority that sslrootcert has"),
        ("server certificate for .* does not match", "its certificate is of another host"),
        ("server does not support SSL", "it speaks no TLS"),
        ("no pg_hba.conf entry|pg_hba.conf rejects", "its pg_hba.conf lets nobody in this way"),
        ("role .* does not exist", "it has no such role"),
        ("database .* does not exist", "it has no such database"),
        ("failed to resolve host|could not translate host name", "no host has this name"),
        ("connection refused|no such file or directory", "nothing listens there"),
        ("timeout expired|timed out", "it takes too long"),
        ("too many (clients|connections)|remaining connection slots", "it has no connection left for us"),
        ("starting up|shutting down|not yet accepting", "it is starting or shutting down"),
        ("read-only transaction|target_session_attrs|session is read-only", "it takes no writes"),
        ("invalid connection option|invalid integer value|invalid .* value", "DATABASE_URL has an option that is none"),
        ("file is not a database|malformed", "the file is damaged, or no database"),
        ("unable to open database file", "the file cannot be opened"),
        ("readonly database", "the file cannot be written to"),
        ("database is locked", "somebody else writes for too long"),
        ("disk is full|no space left", "the disk is full"),
    )
)


def reason(error: SQLAlchemyError) -> str:
    """Why; the class of the error where that is not known."""
    origin = getattr(error, "orig", None)
    if getattr(origin, "sqlstate", None) == _FORBIDDEN:
        return "the role of DATABASE_URL may not do that: the owner of the schema may"
    text = str(origin or "")
    return next((told for words, told in _REASONS if words.search(text)), type(error).__name__)
