"""Answers against the OpenAPI document: every answer that a test of the API gets is one that the document promises."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

Json = dict[str, Any]


class Conformity:
    """The document, ready to be asked."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._validators: dict[str, jsonschema_rs.Validator] = {}
        self._operations: list[tuple[str, re.Pattern[str], str]] = [
            (method, re.compile("^" + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) + "$"), path)
            for path, methods in document["paths"].items()
            for method in methods
        ]

    def path(self, method: str, path: str) -> str | None:
        """The path in the document that a request is for; None when there is none."""
        for known, pattern, template in self._operations:
            if known == method.lower() and pattern.match(path):
                return template
        return None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: object) -> None:
        """Whether an answer with a JSON body is a documented one. `headers` know no case."""
        template = self.path(method, path)
        if template is None:
            return
        responses = self.document["paths"][template][method.lower()]["responses"]
        what = f"{method} {template} -> {status}"
        assert str(status) in responses, f"{what} is not documented"
        response = responses[str(status)]
        (media_type,) = response["content"]
        assert headers["content-type"].partition(";")[0] == media_type, what
        for name, header in response["headers"].items():
            self._check_header(what, name, header, headers)
        if media_type == "application/json":
            problem = next(self._validator(template, method, status).iter_errors(body), None)
            assert problem is None, f"{what}: {problem}"

    def _check_header(self, what: str, name: str, header: Json, headers: Mapping[str, str]) -> None:
        if "$ref" in header:
            header = self.document["components"]["headers"][name]
        value = headers.get(name.lower())
        assert value is not None or not header.get("required"), f"{what} has no {name}"
        if value is not None:
            assert re.search(header["schema"].get("pattern", ""), value), f"{what}: {name}: {value}"

    def _validator(self, template: str, method: str, status: int) -> jsonschema_rs.Validator:
        where = f"{method.lower()} {template} {status}"
        if where not in self._validators:
            response = self.document["paths"][template][method.lower()]["responses"][str(status)]
            schema = response["content"]["application/json"]["schema"]
            self._validators[where] = jsonschema_rs.Draft202012Validator(
                {"allOf": [schema], "components": self.document["components"]}
            )
        return self._validators[where]
