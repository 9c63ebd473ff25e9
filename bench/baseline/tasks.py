"""The worker of the baseline: `celery -A bench.baseline.tasks worker`. One task applies one request."""

import os
from datetime import datetime
from typing import Any, Final

from celery import Celery
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session

from bench.baseline.tables import BROKER, CAREFUL, Occurrence, User, engine

QUEUE: Final = "celery"
#: How long a message of a dead worker is kept from the others. Celery's own is an hour, which no run waits for.
VISIBILITY_SECONDS: Final = 4

careful: Final = os.environ.get(CAREFUL) == "1"
app: Final = Celery("baseline", broker=os.environ.get(BROKER))
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS, "unacked_restore_limit": 100},
)
if careful:
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def track(body: dict[str, Any]) -> None:
    """Apply a request, in one transaction."""
    with Session(engine()) as session:
        for item in body["attributes"]:
            user = _user(session, item["external_id"])
            attributes = dict(user.attributes)
            for name, value in item.items():
                if isinstance(value, dict) and "inc" in value:
                    attributes[name] = attributes.get(name, 0) + value["inc"]
                elif name != "external_id":
                    attributes[name] = value
            user.attributes = attributes
        for item in body["events"] + body["purchases"]:
            user = _user(session, item["external_id"])
            session.add(
                Occurrence(
                    external_id=user.external_id,
                    name=item.get("name") or item["product_id"],
                    time=datetime.fromisoformat(item["time"]),
                    properties=item.get("properties", {}),
                )
            )
        session.commit()


def _user(session: Session, external_id: str) -> User:
    user = session.get(User, external_id, with_for_update=careful)
    if user is None:
        user = User(external_id=external_id)
        session.add(user)
        session.flush()
    return user


#: A user who is made twice at once, and with row locks a deadlock, are tried again.
task: Final = app.task(
    track,
    name="baseline.track",
    autoretry_for=(IntegrityError, OperationalError),
    retry_kwargs={"max_retries": 20 if careful else 3, "countdown": 0.2},
)
