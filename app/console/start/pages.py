"""Which workspaces an account sees."""

from typing import Final

from starlette.responses import Response

from app.console.page import Page, Visit
from app.services.workspaces import number

#: Workspaces that are shown; a search finds the others.
MOST: Final = 200


async def workspaces_of(visit: Visit) -> Response:
    wanted = visit.query["q"].strip().casefold()
    found = [
        (number(one), one, role)
        for one in await visit.services.workspaces.listed()
        if (role := visit.visitor.role_in(number(one))) is not None and wanted in one.name.casefold()
    ]
    return visit.show(
        "start/workspaces.html", found=found[:MOST], are_more=len(found) > MOST, wanted=visit.query["q"].strip()
    )


PAGES: Final = (Page("/", workspaces_of, title="Workspaces"),)
