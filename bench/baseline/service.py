"""The API of the baseline: `uvicorn --factory bench.baseline.service:create`."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlmodel import Session, col, select

from bench.baseline import tables
from bench.baseline.tables import User, engine
from bench.baseline.tasks import task


class TrackBody(BaseModel):
    attributes: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    purchases: list[dict[str, Any]] = []


class ExportBody(BaseModel):
    external_ids: list[str]


def _session() -> Iterator[Session]:
    with Session(engine()) as session:
        yield session


def _permitted(authorization: Annotated[str, Header()] = "") -> None:
    if authorization != f"Bearer {os.environ[tables.KEY]}":
        raise HTTPException(401, "Invalid API key")


def create() -> FastAPI:
    tables.create()
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/users/track", status_code=201, dependencies=[Depends(_permitted)])
    def track(body: TrackBody) -> dict[str, Any]:
        task.delay(body.model_dump())
        return {"message": "success", "attributes_processed": len(body.attributes)}

    @app.post("/users/export/ids", dependencies=[Depends(_permitted)])
    def export(body: ExportBody, session: Annotated[Session, Depends(_session)]) -> dict[str, Any]:
        users = session.exec(select(User).where(col(User.external_id).in_(body.external_ids)))
        return {
            "message": "success",
            "users": [{"external_id": user.external_id, "custom_attributes": user.attributes} for user in users],
        }

    return app
