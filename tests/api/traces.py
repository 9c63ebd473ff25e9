"""Whatever lies about somebody, in every table and file."""

import io
import zipfile

from sqlalchemy import select
from sqlmodel import SQLModel

from app.store.tables import INBOX_TABLES
from tests.api.harness import Service, Workspace


def everything(service: Service, workspace: Workspace) -> dict[str, str]:
    """All that lies about the workspace in tables and files, but the inbox, which ages out: {where: text}."""
    found = {}
    with service.database.read() as connection:
        for name, table in SQLModel.metadata.tables.items():
            if name in INBOX_TABLES or "workspace_id" not in table.c:
                continue
            rows = connection.execute(select(table).where(table.c.workspace_id == workspace.id)).all()
            found[name] = "\n".join(str(tuple(row)) for row in rows)
    folder = service.settings.files_directory() / str(workspace.id)
    for path in folder.iterdir() if folder.exists() else ():
        found[path.suffix] = "\n".join(str(member) for member in (_text(path.read_bytes()),))
    return found


def _text(content: bytes) -> str:
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return "\n".join(archive.read(name).decode() for name in archive.namelist())
    return content.decode("latin-1")
