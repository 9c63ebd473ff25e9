"""The log-in: the one page for strangers."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.console.forms import parse
from app.console.page import ROOT, see_other
from app.console.serving import COOKIE, Front, csrf, new_session
from app.services.accepting.gate import Place
from app.services.accounts import EVERYWHERE
from app.services.log_ins import WrongPasswordError
from app.services.networks import origin

#: Where a log-in may lead: a page of ours, written plainly.
_NEXT: Final = re.compile(rf"{ROOT}/[A-Za-z0-9_/-]*")
_WRONG: Final = "There is no such account, or it has another password."


class LogIn:
    """Shows the form and takes it. A browser gets a new session id with each log-in, so nobody can fix it before."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def show(self, request: Request, _place: Place) -> Response:
        query = parse(request.url.query)
        session = request.cookies.get(COOKIE, "")
        is_new = not session
        session = session or new_session()
        response = self._form(session, 200, "", query["next"], "")
        if is_new:
            self._front.set_cookie(request, response, session)
        return response

    async def enter(self, request: Request, place: Place) -> Response:
        services, client = self._front.services, self._front.client(request)
        with place.stranger(origin(client)):
            before = request.cookies.get(COOKIE, "")
            form = await self._front.form(request, before)
            name = form["name"]
            try:
                session = await services.log_ins.log_in(name, form["password"], client)
            except WrongPasswordError as wrong:
                if wrong.known:  # else it may be anything, such as a password in the wrong field
                    number = await services.acts.begin(name, EVERYWHERE, "log-in", client)
                    await services.acts.finish(number, 401, "")
                return self._form(before, 401, name, form["next"], _WRONG)
            number = await services.acts.begin(name, EVERYWHERE, "log-in", client)
            await services.acts.finish(number, 303, "")
            await services.log_ins.log_out(before)
            leads_to = form["next"] if _NEXT.fullmatch(form["next"]) else f"{ROOT}/"
            response = see_other(leads_to)
            self._front.set_cookie(request, response, session)
            return response

    def _form(self, session: str, status: int, name: str, leads_to: str, wrong: str) -> Response:
        values = {"csrf": csrf(session), "name": name, "next": leads_to, "wrong": wrong}
        return self._front.renderer.stranger("session/log_in.html", status, values)
