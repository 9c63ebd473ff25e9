"""Lets every page of docs/api into the menu of the site, so that a new family needs no line in mkdocs.yml."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Called by MkDocs: the entry `API` of `nav` gets the pages of its folder."""
    pages = sorted(page.name for page in Path(config["docs_dir"], "api").glob("*.md") if page.name != "README.md")
    for entry in config["nav"]:
        if "API" in entry:
            entry["API"] = ["api/README.md", *(f"api/{name}" for name in pages)]
    return config
