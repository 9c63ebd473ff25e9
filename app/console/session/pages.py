"""Logging out."""

from typing import Final

from starlette.responses import Response

from app.console.page import ROOT, Page, Visit, see_other
from app.console.serving import COOKIE


async def log_out(visit: Visit) -> Response:
    await visit.services.log_ins.log_out(visit.request.cookies.get(COOKIE, ""))
    response = see_other(f"{ROOT}/log-in")
    response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="strict")
    return response


PAGES: Final = (Page("/log-out", log_out, method="POST", act="log-out"),)
