"""POST /v1/imports with a file instead of JSON: what the query says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract import rows
from app.contract.errors import RefusedError
from app.contract.file_exports import GZIP_FORMAT

#: Content types of files, and what a file is called of which nothing else is known.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "application/x-ndjson": "rows.ndjson",
    "application/ndjson": "rows.ndjson",
    "application/jsonl": "rows.ndjson",
    "text/csv": "rows.csv",
    "application/zip": "rows.zip",
    "application/gzip": "rows.ndjson.gz",
    "application/octet-stream": "rows.ndjson",
}
MAX_NAME: Final = 255
MAX_MAPPING: Final = 20_000

PARAMETERS: Final = ("name", "kind", "overwrite", "dry_run", "mapping")
BAD_PARAMETERS: Final = f"Only these may be asked for: {', '.join(PARAMETERS)}"
BAD_NAME: Final = f"'name' must be the name of a file, of up to {MAX_NAME} characters and without a directory"
BAD_KIND: Final = f"'kind' must be one of {', '.join(rows.KINDS)}"
BAD_SWITCH: Final = "'%s' must be true or false"
EMPTY: Final = "The file is empty"
_SWITCHES: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class FileImport:
    """A file that is to be imported, and how it is read."""

    name: str
    #: One of rows.KINDS; None: each row tells.
    kind: str | None
    overwrite: bool
    dry: bool
    #: Of tables: JSON, as `onefold import --mapping` takes it.
    mapping: str | None

    def parameters(self) -> dict[str, Any]:
        """What the job keeps. What comes of it is a gzip."""
        return {
            "format": GZIP_FORMAT,
            "name": self.name,
            "kind": self.kind,
            "overwrite": self.overwrite,
            "dry_run": self.dry,
            "mapping": self.mapping,
        }


def of_job(parameters: Mapping[str, Any]) -> FileImport:
    """What was asked for, as the job has it."""
    return FileImport(
        parameters["name"], parameters["kind"], parameters["overwrite"], parameters["dry_run"], parameters["mapping"]
    )


def read(parameters: Mapping[str, str], media_type: str) -> FileImport:
    """The query of a request with such a content type. Raises RefusedError(400)."""
    if parameters.keys() - set(PARAMETERS):
        raise RefusedError(400, BAD_PARAMETERS)
    name = parameters.get("name", MEDIA_TYPES[media_type])
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or "/" in name or "\\" in name:
        raise RefusedError(400, BAD_NAME)
    kind, mapping = parameters.get("kind"), parameters.get("mapping")
    if kind is not None and kind not in rows.KINDS:
        raise RefusedError(400, BAD_KIND)
    if mapping is not None:
        if len(mapping) > MAX_MAPPING:
            raise RefusedError(400, rows.BAD_MAPPING)
        rows.read_mapping(mapping.encode("utf-8", "surrogatepass"))
    return FileImport(name, kind, _switch(parameters, "overwrite"), _switch(parameters, "dry_run"), mapping)


def _switch(parameters: Mapping[str, str], name: str) -> bool:
    found = _SWITCHES.get(parameters.get(name, "false"))
    if found is None:
        raise RefusedError(400, BAD_SWITCH % name)
    return found
