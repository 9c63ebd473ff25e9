"""Reading a Markdown page as far as the tests need it: fenced blocks, tables, headings, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
#: In the line before a block: it is not run, and why.
NOT_RUN: Final = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, with the number of its first line within the fence."""

    language: str
    text: str
    line: int
    #: Why it is not run; empty = it is.
    not_run: str
    #: The text of the block that follows at once, if that is JSON: what the last command prints.
    answer: str = ""


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page (a path below the root) in order."""
    found: list[Block] = []
    fence: int | None = None
    lines = (ROOT / page).read_text().split("\n")
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if fence is None:
            fence = number
            continue
        text = "\n".join(lines[fence + 1 : number])
        language = lines[fence].removeprefix("```")
        if language == "json" and found and lines[fence - 2] == "```" and found[-1].language == "sh":
            last = found.pop()
            found.append(Block(last.language, last.text, last.line, last.not_run, text))
        else:
            marker = NOT_RUN.fullmatch(lines[fence - 1]) if fence else None
            found.append(Block(language, text, fence + 2, marker[1] if marker else ""))
        fence = None
    return found


def section(page: str, heading: str) -> str:
    """What stands under a heading (`## Groups`), up to the next one of the same or a higher level."""
    text = (ROOT / page).read_text()
    level = heading.split(maxsplit=1)[0]
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"{page} has no {heading}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows in a text, without heads and the lines under them."""
    found = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("|---")
        if line.startswith("| ") and not is_head:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub and the site make them."""
    plain = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", plain, re.MULTILINE):
        kept = re.sub(r"[^\w\s-]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.lower()))
        found.add(re.sub(r"\s", "-", kept.strip()))
    return found


def links(page: Path) -> Iterator[str]:
    """Where the links of a page lead, as they are written."""
    plain = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"(?<!!)\[[^]]+\]\(([^)\s]+)\)", plain)
