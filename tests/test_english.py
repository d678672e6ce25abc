"""Documentation, code and tests avoid phrases that read as translated, by a list of them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Written from the commands; and a record of the past.
GENERATED = {"CHANGELOG.md"}
FOLDERS = (".", "docs", "examples", "benchmarks", "qgis_plugin")
PAGES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.md"))
    if path.name not in GENERATED
]

#: Phrase to avoid (a regular expression), and what to write.
PHRASES = {
    r"(?<!there )\b(is|are) no (?!longer)": "is not a ..., or: there is no ...",
    r"(?<!there )\b(is|are) (?-i:none)\b": "is not one",
    r"\btold\b": "callback; reported; given",
    r"\bof which\b": "a relative clause with a verb, or two sentences",
    r"\b(anybody|somebody|(of|with) one's)\b": "an existing layer; your own; a user",
    r"\bbeside\b": "next to, parallel to, besides",
    r"\bso (many|much|long) (?!(as|that)\b)": "the number itself",
    r"\bgone on\b|\bgoes? on\b|\bgoing on\b|\bgo on\b": "resume, continue",
    r"\btaken? for\b": "mistaken for, treated as",
    r"\bhangs? together\b": "a connected component",
    r"\bgrown together\b": "merged",
    r"\btook up\b|\btaken up\b|\btakes up\b": "resume",
    r"\bled (up )?to the edge\b": "extended to the edge",
    r"\bas (all|the) others do\b": "the rule itself",
    r"\bof one's own\b": "your own",
    r"\bheld back\b": "held out",
    r"\bthrows? away\b": "discard",
    r"\bfound out\b|\bfinds? out\b": "detected, determined",
    r"\bwhat (they|it) (is|are) made of\b": "the parts by name",
    r"\bstands? (in|for)\b": "is in; means",
    r"\bin work\b": "running",
    r"\bas it is\b": "unchanged",
    r"\btells?\b": "reports, says, shows",
    r"\bto be found\b": "is in",
    r"\bis refused\b|\bare refused\b": "rejected",
    r"\bno data\b": "nodata",
    r"\bwork folder\b": "work directory",
    r"\bnext to no\b": "almost no",
    r"\bunfit\b": "incompatible, unusable",
}


def text_of(page: Path) -> str:
    """Return a page as one line without code blocks, code and addresses of links."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    return " ".join(text.split())


def listed(text: str) -> list[str]:
    """Return each place of a text with a phrase of the list, and what to write."""
    return [
        f"{text[max(0, match.start() - 40) : match.end() + 40]!r}: write {better}"
        for phrase, better in PHRASES.items()
        for match in re.finditer(phrase, text, re.IGNORECASE)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_avoids_listed_phrases(page: Path) -> None:
    found = listed(text_of(page))
    assert not found, "\n".join(found)


#: Modules and packages of roadgis.
PARTS = sorted(
    path.stem
    for path in (ROOT / "roadgis").iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
)
#: Folders of other programs that are held to the list.
PROGRAMS = ("benchmarks", "examples", "qgis_plugin", "tests")


def words_of(module: Path) -> str:
    """Return docstrings, comments, messages and names of tests of a module as one line."""
    source = module.read_text(encoding="utf-8")
    tree = ast.parse(source)
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts += [token.string.lstrip("#:") for token in tokens if token.type == tokenize.COMMENT]
    texts += [f"{name.replace('_', ' ')}." for name in re.findall(r"\bdef (test_\w+)", source)]
    return re.sub(r"`[^`]*`", "", " ".join(" ".join(texts).split()))


@pytest.mark.parametrize("part", [*(f"roadgis/{name}" for name in PARTS), *PROGRAMS])
def test_docstrings_comments_and_messages_avoid_listed_phrases(part: str) -> None:
    folder = ROOT / part
    modules = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    modules = [module for module in modules if module != Path(__file__).resolve()]
    found = [line for module in modules for line in listed(words_of(module))]
    assert not found, "\n".join(found)
