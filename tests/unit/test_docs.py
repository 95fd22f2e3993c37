"""The pages that people wrote by hand agree with the code: links, commands, files, settings, metrics, dependencies."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.http import HttpConfig
from connectors.http.app import Writer, build_app
from fengsui import docs
from fengsui.cli import app
from fengsui.settings import Settings, variable
from rules import load_packs
from topics.catalogue import TOPICS
from topics.codes import DEPARTMENTS

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
PAGES = [README, CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "adr").glob("*.md"))]
OURS = [page for page in PAGES if page.name in {"README.md", "CONTRIBUTING.md", "journey.md", "operations.md"}]
ROOMS = (
    "fengsui",
    "connectors",
    "topics",
    "streams",
    "rules",
    "models",
    "dashboards",
    "tests",
    "bench",
    "scripts",
    "docs",
)

_FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:work|home|root|tmp|Users|mnt)\b")
_OF_A_SESSION = re.compile(
    r"claude|anthropic|chatgpt|copilot|sub-?agent|language model|this session|as requested", re.I
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
each_of_ours = pytest.mark.parametrize("page", OURS, ids=lambda page: page.name)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def codes(page: Path) -> Iterator[str]:
    """Every inline code of a page."""
    yield from _CODE.findall(prose(page))


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every `fengsui …` line in the fenced blocks of a page, comments and variables left out."""
    for block in _FENCE.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # a line of a quoted body of several lines
                continue
            while words and re.match(r"^[A-Z_]+=", words[0]):
                words.pop(0)
            if words and words[0].removeprefix(".venv/bin/") == "fengsui":
                yield words[1:]


@each_page
def test_relative_links_resolve(page: Path) -> None:
    """Each link to a file leads to one."""
    links = [link for link in _LINK.findall(prose(page)) if "://" not in link and not link.startswith("#")]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []


@each_page
def test_commands_parse(page: Path) -> None:
    """Each command in a block exists, with these options, and lacks none that it needs."""
    for words in commands(page):
        command, _, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        assert command is not None


def test_the_readme_shows_the_main_commands() -> None:
    """The test above looks at something: each group of commands that README promises is there."""
    shown = {words[0] for words in commands(README)}
    assert shown >= {"up", "worker", "send", "replay", "decode", "rules", "clues", "archive", "rejected"}


@each_page
def test_nothing_of_a_machine_or_a_session(page: Path) -> None:
    """No absolute path of a developer's machine, no word about how a text came to be."""
    text = page.read_text("utf-8")
    assert _ABSOLUTE.findall(text) == []
    assert _OF_A_SESSION.findall(text) == []


@each_of_ours
def test_files_named_exist(page: Path) -> None:
    """A code that reads like a path of one of the rooms is one."""
    named = [code for code in codes(page) if re.fullmatch(rf"(?:{'|'.join(ROOMS)})/[\w./-]*", code)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@each_of_ours
def test_settings_named_exist(page: Path) -> None:
    """Every FENGSUI_ variable is a setting."""
    known = {variable(field) for field in Settings.model_fields}
    named = set(re.findall(r"FENGSUI_[A-Z0-9_]*[A-Z]", page.read_text("utf-8")))
    assert named <= known


@each_of_ours
def test_metrics_named_exist(page: Path) -> None:
    """Every fengsui_ name in prose is a metric."""
    known = {metric.name for metric in docs.metrics()}
    assert set(re.findall(r"\bfengsui_[a-z_]+", prose(page))) <= known


def test_alerts_are_all_told() -> None:
    """Operations names every alert of the rules file, and no other."""
    rules = (ROOT / "dashboards" / "prometheus" / "rules.yml").read_text("utf-8")
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert set(re.findall(r"`(Fengsui[A-Z]\w+)`", page)) == set(re.findall(r"alert: (\w+)", rules))


@each_of_ours
def test_topics_named_exist(page: Path) -> None:
    """A code with the shape of an event or warning topic names one."""
    named = [code for code in codes(page) if re.fullmatch(r"(?:events|warnings)\.[a-z-]+", code)]
    assert [name for name in named if name not in TOPICS] == []


def test_http_paths_exist() -> None:
    """The paths that README names are served."""

    class Nothing(Writer):
        """Never asked to write."""

    served = {route.path for route in build_app(HttpConfig(Nothing())).routes}  # type: ignore[attr-defined, abstract]
    named = set(re.findall(r"(?<![\w.])/(?:v1/\w+|metrics|healthz|readyz)", README.read_text("utf-8")))
    assert named == served


def test_departments_shown_exist() -> None:
    """Each --department of a shown command is a code."""
    given = [
        words[i + 1] for page in PAGES for words in commands(page) for i, w in enumerate(words) if w == "--department"
    ]
    assert given
    assert set(given) <= set(DEPARTMENTS)


def test_the_number_of_starter_rules() -> None:
    """README counts them rightly."""
    found = re.search(r"(\d+) starter rules", README.read_text("utf-8"))
    assert found is not None
    assert int(found[1]) == len(load_packs(ROOT / "rules" / "packs"))


def test_every_decision_has_its_parts() -> None:
    """A decision says that it is accepted or replaced, is numbered as its file is, and fits a page."""
    for page in sorted((ROOT / "docs" / "adr").glob("*.md")):
        text = page.read_text("utf-8")
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert re.search(r"^Status: (accepted|replaced)", text, re.MULTILINE)
        assert len(text.split()) < 600, page.name


def test_each_direct_dependency_has_its_line() -> None:
    """docs/dependencies.md lists the direct dependencies of pyproject.toml, each once, and none that is gone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    run, dev = page.partition("## For development")[::2]
    for declared, text in ((project["project"]["dependencies"], run), (project["dependency-groups"]["dev"], dev)):
        lines = re.findall(r"^\| `([\w-]+)` \| \S", text, re.MULTILINE)
        assert lines == sorted(re.split(r"[<>=!~\[; ]", one)[0] for one in declared)
