"""One page: its path, who may see it, what it does; and what it is given to do that."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.console.forms import Form
from app.services.accounts import READER, allows
from app.services.caller import Caller
from app.services.log_ins import Visitor
from app.services.networks import Address
from app.services.registry import Services

#: Where the console is.
ROOT: Final = "/console"
#: Paths of pages of a workspace begin so.
WORKSPACE: Final = "/{workspace_id:int}"

Show = Callable[..., Response]
"""Makes an HTML answer of a template: (visit, name, status, values)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A method and a path. Routes, the navigation, the tests of roles and the log of acts are made of these."""

    #: Below ROOT. With WORKSPACE at its beginning it is of a workspace, else of the installation.
    path: str
    handler: "Handler"
    #: Who may at least: READER to look, OPERATOR to act on data, ADMIN to change keys, limits, apps and settings.
    role: str = READER
    method: str = "GET"
    #: What a POST is in the log of acts: `keys.create`.
    act: str = ""
    #: In the navigation; empty = it is not there.
    title: str = ""

    @property
    def is_of_workspace(self) -> bool:
        return self.path.startswith(WORKSPACE)


@dataclass(slots=True)
class Visit:
    """A request of somebody who is logged in, and may see the page."""

    request: Request
    services: Services
    page: Page
    visitor: Visitor
    #: The role of the account in the workspace of the page; of the installation on a page that has none.
    role: str
    client: Address | None
    #: Every POST has to send it back.
    csrf: str
    #: Of a POST; empty otherwise.
    form: Form
    _caller: Caller | None
    _show: Show
    #: What an act was done to, for the log of acts: a name that an operator gave, never a value of people.
    target: str = ""
    #: What `go` of the page before has to say.
    said: str = ""
    query: Form = field(default_factory=Form)

    @property
    def caller(self) -> Caller:
        """The operator of the workspace, whose name histories show."""
        if self._caller is None:
            raise LookupError("a page of the installation has no workspace")
        return self._caller

    @property
    def workspace(self) -> Caller | None:
        """None on a page of the installation."""
        return self._caller

    @property
    def path(self) -> Mapping[str, str]:
        """The members of the path, as texts: `{name}` of the page's path."""
        found: Mapping[str, Any] = self.request.path_params
        return {name: str(value).replace("\0", "\ufffd") for name, value in found.items()}

    @property
    def is_fragment(self) -> bool:
        """Whether a part of a page asks for itself (htmx)."""
        return "hx-request" in self.request.headers

    def may(self, role: str) -> bool:
        """Whether to show what needs this role. The server asks again when it is done."""
        return allows(self.role, role)

    def at(self, path: str) -> str:
        """The address of a page of the same workspace, `/keys`; of the installation, where there is none."""
        return f"{ROOT}/{self._caller.workspace_id}{path}" if self._caller is not None else f"{ROOT}{path}"

    def show(self, template: str, status: int = 200, **values: object) -> Response:
        """The page `keys/list.html`: the template `templates/list.html` of the family `keys`."""
        return self._show(self, template, status, values)

    def go(self, path: str, said: str = "") -> Response:
        """To another page of the same workspace, which shows what is said. The end of each POST that did something."""
        return see_other(self.at(path), said)


Handler = Callable[[Visit], Awaitable[Response]]

#: The cookie that takes a message over a redirect.
SAID: Final = "onefold_console_said"
LONGEST_SAID: Final = 400


def see_other(address: str, said: str = "") -> Response:
    """303, with a message for the page that is shown next."""
    response = Response(status_code=303, headers={"Location": address})
    if said:
        value = said[:LONGEST_SAID].encode().hex()
        response.set_cookie(SAID, value, path=ROOT, max_age=60, httponly=True, samesite="strict")
    return response


class RefusedPageError(Exception):
    """A page is not shown: an error page with this status and sentence is, which holds no value of people."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def in_navigation(pages: Sequence[Page], *, of_workspace: bool) -> list[Page]:
    """The pages that have a title, in the order of the table."""
    return [page for page in pages if page.title and page.is_of_workspace is of_workspace]
