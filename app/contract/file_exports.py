"""POST /users/export/segment, /users/export/global_control_group and /export/segment/cancel
(spec export-delete-rename.md 2)."""

from dataclasses import dataclass
from typing import Any, Final

from app.contract import body as bodies
from app.contract import export, exported, identifiers
from app.contract.errors import RefusedError

ZIP_FORMAT, GZIP_FORMAT = "zip", "gzip"
MAX_CUSTOM_ATTRIBUTES: Final = 500
MAX_SEGMENT_ID: Final = 255

NO_OBJECT: Final = "The request body must be a JSON object"
NO_SEGMENT: Final = "'segment_id' must be the id of a segment"
BAD_CALLBACK: Final = "'callback_endpoint' must be an http or https URL that can be reached from the Internet"
BAD_FORMAT: Final = "'output_format' must be zip or gzip"
BAD_CUSTOM: Final = "'custom_attributes_to_export' must be an array of at most 500 names"
UNDER_WAY: Final = "An export for this segment is already in progress"
UNDER_WAY_CONTROL: Final = "An export of the global control group is already in progress"
NOT_UNDER_WAY: Final = "No export for this segment is in progress"
UNKNOWN_SEGMENT: Final = "Unknown segment id"


@dataclass(frozen=True, slots=True)
class FileExport:
    """What is wanted: the segment, "" for the global control group, and the file."""

    segment_id: str
    #: None = the default output.
    fields: frozenset[str] | None
    #: Custom attributes that are given back; None = as `fields` says.
    custom_attributes: frozenset[str] | None
    callback: str
    #: ZIP_FORMAT or GZIP_FORMAT.
    form: str

    def parameters(self) -> dict[str, Any]:
        """As they are kept with the job."""
        kept: dict[str, Any] = {"format": self.form}
        if self.fields is not None:
            kept["fields"] = sorted(self.fields)
        if self.custom_attributes is not None:
            kept["custom_attributes"] = sorted(self.custom_attributes)
        if self.callback:
            kept["callback"] = self.callback
        return kept


def read(body: bytes, *, with_segment: bool, requires_fields: bool = False) -> FileExport:
    """Check a request. Raises RefusedError. Whether the callback can be called is for the caller to say."""
    document = _object(body)
    segment_id = _segment_id(document) if with_segment else ""
    fields = export.fields_of(document.get("fields_to_export"))
    custom = _custom(document.get("custom_attributes_to_export"))
    if fields is None and custom is None and requires_fields:
        raise RefusedError(400, export.NO_FIELDS)
    callback = document.get("callback_endpoint")
    if callback is None:
        callback = ""
    if not isinstance(callback, str):
        raise RefusedError(400, BAD_CALLBACK)
    form = document.get("output_format")
    if form is None:
        form = ZIP_FORMAT
    if form not in (ZIP_FORMAT, GZIP_FORMAT):
        raise RefusedError(400, BAD_FORMAT)
    return FileExport(segment_id, fields, custom, callback, form)


def read_cancel(body: bytes) -> str:
    """The segment whose export is to be cancelled. Raises RefusedError."""
    return _segment_id(_object(body))


def _object(body: bytes) -> dict[str, Any]:
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, NO_OBJECT)
    return document


def _segment_id(document: dict[str, Any]) -> str:
    segment_id = identifiers.text(document.get("segment_id"))
    if not segment_id or "\0" in segment_id or len(segment_id) > MAX_SEGMENT_ID:
        raise RefusedError(400, NO_SEGMENT)
    return segment_id


def _custom(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_CUSTOM_ATTRIBUTES:
        raise RefusedError(400, BAD_CUSTOM)
    if not all(isinstance(name, str) for name in value):
        raise RefusedError(400, BAD_CUSTOM)
    return frozenset(value)


def line(view: exported.View, fields: frozenset[str] | None, custom: frozenset[str] | None) -> dict[str, object]:
    """One user as a line of the file. Custom attributes that were asked for by name are given back alone."""
    if custom is None:
        return exported.render(view, fields)
    if fields is not None:
        fields = fields | {"custom_attributes"}
    user = exported.render(view, fields)
    shown = user.get("custom_attributes")
    if isinstance(shown, dict):
        user["custom_attributes"] = {name: value for name, value in shown.items() if name in custom}
    return user
