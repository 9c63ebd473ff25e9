"""HTML: templates of all families, which escape everything; and the headers of every page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from starlette.responses import Response

from app.console.page import ROOT, SAID, WORKSPACE, Page, Visit, in_navigation
from app.console.static import address

HERE: Final = Path(__file__).parent
POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def moment(us: int | None) -> str:
    """A time in ISO form to the second, with the offset of UTC; empty for none."""
    if us is None:
        return ""
    return datetime.fromtimestamp(us // 1_000_000, UTC).isoformat(sep=" ", timespec="seconds")


def number(value: float) -> str:
    """With a thin space between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def segment(text: str) -> str:
    """A part of a path in an address."""
    return quote(text, safe="")


def environment(families: Sequence[str]) -> Environment:
    """The templates: those of all pages by their name, those of a family as `keys/list.html`."""
    own = {name: FileSystemLoader(HERE / name / "templates") for name in families}
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(HERE / "templates"), PrefixLoader(own)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"moment": moment, "number": number, "segment": segment}
    made.globals |= {"root": ROOT, "static": address}
    return made


class Renderer:
    """Makes pages and error pages."""

    def __init__(self, pages: Sequence[Page], families: Sequence[str]) -> None:
        self._environment = environment(families)
        self._of_workspace = in_navigation(pages, of_workspace=True)
        self._of_installation = in_navigation(pages, of_workspace=False)

    def page(self, visit: Visit, template: str, status: int, values: Mapping[str, Any]) -> Response:
        """The answer to a visit. A message of the page before is shown once."""
        response = self._response(
            template,
            status,
            {"visit": visit, "csrf": visit.csrf, "navigation": self._navigation(visit), "said": visit.said}
            | dict(values),
        )
        if visit.said:
            response.delete_cookie(SAID, path=ROOT, httponly=True, samesite="strict")
        return response

    def stranger(self, template: str, status: int, values: Mapping[str, Any]) -> Response:
        """A page for somebody who is not logged in."""
        return self._response(template, status, {"visit": None, "navigation": [], "said": ""} | dict(values))

    def error(self, status: int, message: str, headers: Mapping[str, str] = {}) -> Response:
        """A page that says what is wrong, and nothing else."""
        response = self.stranger("error.html", status, {"status": status, "message": message})
        response.headers.update(headers)
        return response

    def _navigation(self, visit: Visit) -> list[dict[str, object]]:
        pages = self._of_installation if visit.workspace is None else self._of_workspace
        here = visit.page.path.split("/")[:3]
        return [
            {
                "title": page.title,
                "address": visit.at(page.path.removeprefix(WORKSPACE)),
                "is_here": page.path.split("/")[:3] == here,
            }
            for page in pages
            if visit.may(page.role)
        ]

    def _response(self, template: str, status: int, values: Mapping[str, Any]) -> Response:
        html = self._environment.get_template(template).render(values)
        return Response(html, status, headers=HEADERS, media_type="text/html")
