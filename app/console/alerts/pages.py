"""Alerts: listed with where they stand, made, changed, tested and deleted; and what they said."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from app.console.forms import Form
from app.console.page import WORKSPACE, Page, Visit
from app.contract import alerts as contract
from app.contract.errors import RefusedError
from app.domain.alerts import EMAIL, METRICS, OF_INSTALLATION, WEBHOOK, Alert
from app.services.accounts import ADMIN
from app.services.refusals import AlertChangedError, TooManyAlertsError, TooManyMessagesError, UnknownAlertError

#: What a workspace can watch.
_METRICS: Final = tuple(metric for metric in METRICS if metric not in OF_INSTALLATION)
#: Messages on the page.
_MESSAGES: Final = 50
_FIELDS: Final = ("name", "metric", "above", "window_minutes", "for_seconds", "clear_seconds", "key_id", "endpoint")
_NEW: Final = {
    "name": "",
    "metric": _METRICS[0],
    "above": "",
    "window_minutes": str(contract.DEFAULT_WINDOW_MINUTES),
    "for_seconds": str(contract.DEFAULT_WAIT_SECONDS),
    "clear_seconds": str(contract.DEFAULT_WAIT_SECONDS),
    "key_id": "",
    "endpoint": "",
    "webhook": "",
    "emails": "",
    "enabled": "yes",
    "new_secret": "",
}
_CHANGED: Final = "The alert was changed at the same time: look at it, and send the form again."


async def list_alerts(visit: Visit) -> Response:
    return visit.show("alerts/list.html", alerts=await visit.services.alerts.listed(visit.caller))


async def messages(visit: Visit) -> Response:
    """A part of the list: what was said."""
    found = await visit.services.alerts.messages(visit.caller, None, _MESSAGES)
    names = {alert.id: alert.name for alert in await visit.services.alerts.listed(visit.caller)}
    return visit.show("alerts/messages.html", messages=found, names=names)


async def edit_alert(visit: Visit) -> Response:
    """The form of a new alert, or with `id` of one that there is."""
    alert_id = visit.query["id"]
    if not alert_id:
        return _form(visit, _NEW)
    return _form(visit, _values(await visit.services.alerts.one(visit.caller, alert_id)), alert_id)


async def save_alert(visit: Visit) -> Response:
    form, alert_id = visit.form, visit.form["id"]
    values = {name: form[name].strip() for name in _NEW}
    visit.target = values["name"]
    alerts = visit.services.alerts
    try:
        document = _document(form)
        if alert_id:
            kept = await alerts.change(visit.caller, alert_id, contract.changes(document))
        else:
            kept = await alerts.create(visit.caller, contract.new(document, installation=False))
    except RefusedError as refused:
        return _form(visit, values, alert_id, refused.message)
    except TooManyAlertsError:
        return _form(visit, values, alert_id, contract.TOO_MANY)
    except AlertChangedError:
        return _form(visit, values, alert_id, _CHANGED)
    if kept.secret:
        return visit.show("alerts/secret.html", 201, name=kept.name, secret=kept.secret)
    return visit.go("/alerts", f"The alert {values['name']} is {'changed, and begins anew' if alert_id else 'made'}.")


async def test_alert(visit: Visit) -> Response:
    visit.target = visit.form["id"]
    try:
        await visit.services.alerts.test(visit.caller, visit.form["id"])
    except TooManyMessagesError:
        return visit.go("/alerts", contract.TOO_MANY_MESSAGES)
    except UnknownAlertError:
        return visit.go("/alerts", contract.UNKNOWN)
    return visit.go("/alerts", "A test is on its way: what comes of it stands among the messages below.")


async def delete_alert(visit: Visit) -> Response:
    visit.target = visit.form["id"]
    try:
        await visit.services.alerts.delete(visit.caller, visit.form["id"])
    except UnknownAlertError:
        return visit.go("/alerts", contract.UNKNOWN)
    return visit.go("/alerts", "The alert is deleted. Messages that are due still go out.")


def _form(visit: Visit, values: Mapping[str, str], alert_id: str = "", wrong: str = "") -> Response:
    return visit.show(
        "alerts/form.html",
        422 if wrong else 200,
        values=values,
        alert_id=alert_id,
        wrong=wrong,
        metrics=_METRICS,
        mail=visit.services.alerts.settings.mail,
    )


def _values(alert: Alert) -> dict[str, str]:
    values = {name: str(getattr(alert, name)) for name in _FIELDS}
    return values | {
        "webhook": alert.targets[0] if alert.channel == WEBHOOK else "",
        "emails": "\n".join(alert.targets) if alert.channel == EMAIL else "",
        "enabled": "yes" if alert.enabled else "",
        "new_secret": "",
    }


def _document(form: Form) -> dict[str, Any]:
    """The form as a client would send it. Raises RefusedError."""
    document: dict[str, Any] = {"name": form["name"].strip(), "metric": form["metric"]}
    for name in ("above", "window_minutes", "for_seconds", "clear_seconds"):
        try:
            document[name] = form.whole(name)
        except ValueError:
            document[name] = None
    for name in ("key_id", "endpoint"):
        document[name] = form[name].strip() or None
    if form["webhook"].strip():
        document["webhook"] = form["webhook"].strip()
    if form["emails"].strip():
        document["emails"] = form["emails"].replace(",", "\n").split()
    if "webhook" not in document and "emails" not in document:
        raise RefusedError(400, contract.BAD_CHANNEL)
    document["enabled"] = form["enabled"] == "yes"
    if form["new_secret"]:
        document["new_secret"] = True
    return document


PAGES: Final = (
    Page(f"{WORKSPACE}/alerts", list_alerts, title="Alerts"),
    Page(f"{WORKSPACE}/alerts/messages", messages),
    Page(f"{WORKSPACE}/alerts/edit", edit_alert, role=ADMIN),
    Page(f"{WORKSPACE}/alerts", save_alert, role=ADMIN, method="POST", act="alerts.save"),
    Page(f"{WORKSPACE}/alerts/test", test_alert, role=ADMIN, method="POST", act="alerts.test"),
    Page(f"{WORKSPACE}/alerts/delete", delete_alert, role=ADMIN, method="POST", act="alerts.delete"),
)
