"""How often keys called endpoints."""

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, small, text


class ApiUsage(SQLModel, table=True):
    """Answers of the API in a minute, by key, endpoint and status. `onefold sweeper` drops old rows."""

    __tablename__ = "api_usage"
    __table_args__ = (Index("api_usage_minute", "minute"),)

    #: app.store.api_usage.NO_WORKSPACE where no live key was sent.
    workspace_id: int = big(key=True)
    #: Minutes since 1970.
    minute: int = big(key=True)
    #: The key's public id, or the id of the app whose SDK key it was; "" = no live key was sent.
    key_id: str = text(key=True)
    #: Method and path with its parameters in braces, such as `GET /v1/jobs/{id}`.
    endpoint: str = text(key=True)
    status: int = small(key=True)
    count: int = big()
