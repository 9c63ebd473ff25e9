"""What changes how a workspace applies and answers; limits have a page of their own."""

from typing import Any, Final

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.services.accounts import ADMIN
from app.services.workspace_settings import SETTINGS, SWITCH, TEXT, WHOLE
from app.services.workspaces import InvalidSettingError

_NO_NUMBER: Final = "%s: a whole number."


async def settings(visit: Visit) -> Response:
    return _show(visit, await visit.services.workspace_settings.show(visit.caller))


async def change_settings(visit: Visit) -> Response:
    typed: dict[str, Any] = {}
    wrong = ""
    for one in SETTINGS:
        typed[one.name] = visit.form[one.name].strip()
        if one.kind == SWITCH:
            typed[one.name] = visit.form[one.name] == "yes"
        elif one.kind == WHOLE:
            try:
                typed[one.name] = visit.form.whole(one.name)
            except ValueError:
                wrong = _NO_NUMBER % one.words
            else:
                wrong = _NO_NUMBER % one.words if typed[one.name] is None else wrong
    if wrong:
        return _show(visit, typed, wrong)
    try:
        changed = await visit.services.workspace_settings.change(visit.caller, typed)
    except InvalidSettingError as error:
        return _show(visit, typed, str(error))
    visit.target = ", ".join(changed)
    if not changed:
        return visit.go("/settings", "Nothing was different.")
    return visit.go("/settings", f"Changed: {', '.join(changed)}. In force within seconds.")


def _show(visit: Visit, values: dict[str, Any], wrong: str = "") -> Response:
    return visit.show(
        "settings/settings.html",
        422 if wrong else 200,
        settings=SETTINGS,
        values=values,
        wrong=wrong,
        kinds={"switch": SWITCH, "text": TEXT, "whole": WHOLE},
    )


PAGES: Final = (
    Page(f"{WORKSPACE}/settings", settings, title="Settings"),
    Page(f"{WORKSPACE}/settings", change_settings, role=ADMIN, method="POST", act="settings.change"),
)
