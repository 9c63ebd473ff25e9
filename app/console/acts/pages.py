"""What accounts did: in a workspace for its readers, and everywhere for those who may see everything."""

from typing import Final

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, RefusedPageError, Visit
from app.services.accounts import ADMIN, EVERYWHERE

#: Of one page.
MOST: Final = 100


async def of_workspace(visit: Visit) -> Response:
    return await _show(visit, visit.caller.workspace_id)


async def of_all(visit: Visit) -> Response:
    return await _show(visit, None)


async def _show(visit: Visit, workspace_id: int | None) -> Response:
    try:
        before = visit.query.whole("before")
    except ValueError:
        raise RefusedPageError(404, "There is no such place in the log.") from None
    if before is not None and not 0 < before < 2**31:
        raise RefusedPageError(404, "There is no such place in the log.")
    found = await visit.services.acts.listed(workspace_id, before, MOST + 1)
    names = {} if workspace_id is not None else {EVERYWHERE: "installation"} | await _names(visit)
    older = found[MOST - 1].id if len(found) > MOST else None
    return visit.show("acts/list.html", acts=found[:MOST], older=older, names=names)


async def _names(visit: Visit) -> dict[int, str]:
    return {one.id: one.name for one in await visit.services.workspaces.listed() if one.id is not None}


PAGES: Final = (
    Page(f"{WORKSPACE}/acts", of_workspace, title="Audit log"),
    Page("/acts", of_all, role=ADMIN, title="Audit log"),
)
