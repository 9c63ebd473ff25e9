"""What `make docs` does beside MkDocs: the menu gets every API page, and a page that fetches from elsewhere fails."""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError


def on_config(config: Any) -> Any:
    """The entry `API` of the menu gets the pages of its folder, so a new family needs no line in mkdocs.yml."""
    pages = sorted(page.name for page in Path(config["docs_dir"], "api").glob("*.md") if page.name != "README.md")
    for entry in config["nav"]:
        if "API" in entry:
            entry["API"] = ["api/README.md", *(f"api/{name}" for name in pages)]
    return config


def on_post_page(output: str, page: Any, config: Any) -> str:  # noqa: ARG001 - MkDocs passes them by name
    """Fonts, scripts, styles and pictures come with the site."""
    found = re.findall(r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(https?:[^"'\s>]*)""", output)
    found += re.findall(r"""<link[^>]*\shref=["']?(https?:[^"'\s>]*)""", output)
    if found:
        raise PluginError(f"{page.file.src_path} fetches from elsewhere: {', '.join(found)}")
    return output
