"""The documentation as readers see it: what fits on a page, and words that do not have to be read twice."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GENERATED = {"module_map.md", "recipes.md"}
PAGES = [
    ROOT / "README.md",
    ROOT / "experiments" / "README.md",
    *sorted(
        page
        for page in (ROOT / "docs").rglob("*.md")
        if page.name not in GENERATED and not {"_build", "generated", "tutorials"} & set(page.parts)
    ),
]
#: Columns of code that a page of the site shows.
WIDEST_CODE = 75
#: Columns of a table that a page of the site shows.
MOST_COLUMNS = 8
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Phrases that readers had to solve.
RIDDLES = (
    "of no one", "what of it", "worth the name", "cells of no", "speaks of", "of which nothing", "whose manifest is none",
    "that are none", "what is none", "is anything else", "less of one is less", "as good as neutral", "nothing good",
    "takes something for it",
)  # fmt: skip


def name(page):
    return str(page.relative_to(ROOT))


def sources():
    return [file.read_text() for file in sorted((ROOT / "src").rglob("*.py"))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_is_not_cut_off(page):
    wide = [
        line
        for language, code in _BLOCK.findall(page.read_text())
        if language != "mermaid"
        for line in code.splitlines()
        if len(line) > WIDEST_CODE
    ]
    assert not wide


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tables_are_not_cut_off(page):
    lines = page.read_text().splitlines()
    wide = [line for line in lines if re.fullmatch(r"\|[-| :]+\|", line) and line.count("|") - 1 > MOST_COLUMNS]
    assert not wide


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sentences_are_no_riddles(page):
    text = " ".join(page.read_text().split())
    assert [riddle for riddle in RIDDLES if riddle in text] == []


def test_messages_in_the_questions_are_those_of_the_package():
    page = (ROOT / "docs" / "start" / "faq.md").read_text()
    table = page[page.index("| message |") :]
    messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(messages) >= 6
    everything = "\n".join(sources())
    for message in messages:
        parts = [part.strip(" ,:'") for part in re.split(r"\.\.\.|'\w+'", message)]
        for part in filter(None, parts):
            assert part in everything, (message, part)
