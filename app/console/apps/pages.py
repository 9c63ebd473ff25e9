"""Apps: made, changed, switched off, given another SDK key. What was recorded names them, so none is ever deleted."""

from typing import Any, Final

from starlette.responses import Response

from app.console.forms import Form
from app.console.page import WORKSPACE, Page, RefusedPageError, Visit
from app.contract import apps as contract
from app.contract.errors import RefusedError
from app.services.accounts import ADMIN
from app.services.apps import App
from app.services.refusals import TooManyAppsError


async def list_apps(visit: Visit) -> Response:
    return await _list(visit, Form())


async def create_app(visit: Visit) -> Response:
    form = visit.form
    try:
        name, platform = contract.checked_name(form["name"]), contract.checked_platform(form["platform"])
        origins = _origins(form)
        await visit.services.apps.create(visit.caller, name, platform, origins)
    except RefusedError as refused:
        return await _list(visit, form, refused.message)
    except TooManyAppsError:
        return await _list(visit, form, contract.TOO_MANY)
    visit.target = name
    return visit.go("/apps", f"The app {name} is made.")


async def edit_app(visit: Visit) -> Response:
    return _edit(visit, await _app(visit))


async def change_app(visit: Visit) -> Response:
    app, form = await _app(visit), visit.form
    visit.target = app.name
    keys = [pem.strip() for pem in form["public_keys"].replace("\r\n", "\n").split("\n\n") if pem.strip()]
    try:
        values: dict[str, Any] = {
            "name": contract.checked_name(form["name"]),
            "allowed_origins": _origins(form),
            "disabled": form["disabled"] == "yes",
            "sdk_authentication": form["sdk_authentication"] == "yes",
            "public_keys": contract.checked_keys(keys),
        }
    except RefusedError as refused:
        return _edit(visit, app, refused.message)
    await visit.services.apps.change(visit.caller, app.id, values)
    return visit.go("/apps", f"The app {values['name']} is changed.")


async def rotate_key(visit: Visit) -> Response:
    app = await _app(visit)
    visit.target = app.name
    await visit.services.apps.rotate(visit.caller, app.id)
    return visit.go("/apps", f"The app {app.name} has another SDK key. The one before works no more.")


async def _app(visit: Visit) -> App:
    """The app of the path. Raises RefusedPageError(404)."""
    for app in await visit.services.apps.listed(visit.caller):
        if app.id == visit.path["app_id"]:
            return app
    raise RefusedPageError(404, contract.UNKNOWN)


async def _list(visit: Visit, form: Form, wrong: str = "") -> Response:
    found = await visit.services.apps.listed(visit.caller)
    return visit.show(
        "apps/list.html", 422 if wrong else 200, apps=found, form=form, wrong=wrong, platforms=contract.PLATFORMS
    )


def _edit(visit: Visit, app: App, wrong: str = "") -> Response:
    values = {
        "name": app.name,
        "origins": "\n".join(app.allowed_origins),
        "public_keys": "\n\n".join(pem.strip() for pem in app.public_keys),
        "disabled": app.disabled,
        "sdk_authentication": app.sdk_authentication,
    }
    if wrong:  # what was typed stays
        form = visit.form
        values = {name: form[name] for name in values} | {
            name: form[name] == "yes" for name in ("disabled", "sdk_authentication")
        }
    return visit.show("apps/edit.html", 422 if wrong else 200, app=app, values=values, wrong=wrong)


def _origins(form: Form) -> list[str]:
    """Origins, one a line; none = any. Raises RefusedError(400)."""
    lines = [line.strip() for line in form["origins"].splitlines() if line.strip()]
    return contract.checked_origins(lines) if lines else [contract.ANY_ORIGIN]


PAGES: Final = (
    Page(f"{WORKSPACE}/apps", list_apps, title="Apps"),
    Page(f"{WORKSPACE}/apps", create_app, role=ADMIN, method="POST", act="apps.create"),
    Page(f"{WORKSPACE}/apps/{{app_id}}", edit_app, role=ADMIN),
    Page(f"{WORKSPACE}/apps/{{app_id}}", change_app, role=ADMIN, method="POST", act="apps.change"),
    Page(f"{WORKSPACE}/apps/{{app_id}}/rotate", rotate_key, role=ADMIN, method="POST", act="apps.rotate"),
)
