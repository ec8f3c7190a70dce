"""The documents against the code: links, targets, codes, decisions, words, pins."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import patchtide
from patchtide.domain.errors import PatchtideError
from patchtide.entry.cli.trust import COMMANDS as TRUST_COMMANDS
from patchtide.entry.server.settings import SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changes/*.md")])
DECISIONS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
PINS = sorted((ROOT / "requirements").glob("*.txt"))
BUILDS = sorted(
    path
    for pattern in ("Makefile", "pyproject.toml", "scripts/*", ".ci/*", "requirements/*")
    for path in ROOT.glob(pattern)
)
SECTIONS = ("Drivers", "Options", "Decision", "Consequences")
KINDS = ("feature", "fix", "security", "upgrade", "removal")

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)\b")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
TERM = re.compile(r"^\| ([^|]+?) \| ", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The fragments a page's headings can be linked by, as forges derive them."""
    words = (heading.lower().replace("`", "") for heading in HEADING.findall(page.read_text()))
    return {re.sub(r"[^\w\- ]", "", word).strip().replace(" ", "-") for word in words}


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, fragment = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (fragment and fragment not in anchors(path)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_example_puts_a_home_where_the_agent_of_its_machine_must_pass(page: Path) -> None:
    assert "--home /var/lib/patchtide" not in page.read_text()


def kinds_of(error: type[PatchtideError]) -> Iterator[type[PatchtideError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds_of(kind)


def error_codes() -> set[str]:
    for module in pkgutil.walk_packages(patchtide.__path__, "patchtide."):
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            importlib.import_module(module.name)
    kinds = kinds_of(PatchtideError)
    return {kind.code for kind in kinds if kind.__module__.startswith("patchtide.")}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_make_target_that_a_page_names_has_its_help() -> None:
    helped = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for code in CODE.findall(page.read_text())
        for target in MAKE.findall(code)
    }

    assert named - helped == set()


def test_every_target_of_the_makefile_has_its_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)

    helped = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)

    assert sorted(" ".join(phony).split()) == sorted(helped)


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_has_every_section_and_a_day_to_look_again(page: Path) -> None:
    text = page.read_text()
    missing = [section for section in SECTIONS if f"\n## {section}\n" not in text]

    assert missing == []
    assert re.match(r"# \d{4} \S", text) and text.startswith(f"# {page.name[:4]} ")
    assert re.search(r"^- Status: (accepted|superseded by \d{4})$", text, re.MULTILINE)
    assert re.search(r"^- Decided: \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert re.search(r"^- Look again: \d{4}-\d\d-\d\d\b", text, re.MULTILINE)


def test_every_decision_is_listed_once() -> None:
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (ROOT / "docs/adr/README.md").read_text())

    assert listed == [page.name for page in DECISIONS]


def test_the_reference_of_errors_names_each_code_and_no_other() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text()
    documented = re.findall(r"^### `([^`]+)`$", page, re.MULTILINE)

    assert documented == sorted(error_codes())


def test_no_two_errors_say_the_same_under_different_codes() -> None:
    error_codes()  # loads every module
    said: dict[str, set[str]] = {}
    for kind in kinds_of(PatchtideError):
        if kind.__module__.startswith("patchtide.") and "code" in vars(kind):
            said.setdefault((kind.__doc__ or "").casefold(), set()).add(kind.code)

    assert {words: codes for words, codes in said.items() if len(codes) > 1} == {}


def test_every_error_has_its_words_its_cause_and_its_cure() -> None:
    _, *entries = re.split(r"^### ", (ROOT / "docs/reference/errors.md").read_text(), flags=re.M)
    form = re.compile(r"`\S+`\n\n\w[^\n]+\n\n- Cause: \w[^\n]+\n- Cure: \w[^\n]+\n+")

    assert [entry for entry in entries if not form.fullmatch(entry)] == []


def test_the_reference_of_settings_is_what_the_server_reads() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    shown = [line for line in page.splitlines() if line.startswith("| `")]

    assert shown == [
        f"| `{setting.flag}` | `{setting.variable}` | "
        f"{f'`{setting.default}`' if setting.default else 'none'} | {setting.help} |"
        for setting in SETTINGS
    ]


def test_every_command_of_trust_is_told_of_in_its_guide() -> None:
    page = (ROOT / "docs/admin/guides/signing-keys.md").read_text()

    told = set(re.findall(r"\bpatchtide trust ([a-z]+)", page))

    assert told == set(TRUST_COMMANDS)


def test_the_glossary_is_sorted_and_has_each_word_once() -> None:
    words = TERM.findall((ROOT / "docs/glossary.md").read_text())[1:]

    assert len(words) > 20
    assert words == sorted(set(words), key=str.casefold)


@pytest.mark.parametrize("path", sorted((ROOT / "changes").iterdir()), ids=name_of)
def test_a_change_is_one_line_in_a_file_named_for_its_kind(path: Path) -> None:
    if path.name == "README.md":
        return
    assert re.fullmatch(rf"\d+\.({'|'.join(KINDS)})\.md", path.name)
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("path", PINS, ids=name_of)
def test_pins_carry_hashes_and_no_address(path: Path) -> None:
    text = path.read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    blocks = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]

    assert [line for line in lines if line[:1].strip() and "==" not in line] == []
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"\w+://\S*|index-url|find-links|trusted-host|^-\w", text, re.MULTILINE) == []


@pytest.mark.parametrize("path", BUILDS, ids=name_of)
def test_nothing_that_builds_names_an_address(path: Path) -> None:
    assert re.findall(r"\w+://\S+", path.read_text()) == []


def test_the_agents_pins_hold_all_that_the_bare_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]}
    pins = (ROOT / "requirements/agent.txt").read_text()

    assert {name for name in asked if f"\n{name}==" not in f"\n{pins}"} == set()


def test_only_the_extras_pins_know_the_servers_libraries() -> None:
    pins = (ROOT / "requirements/agent.txt").read_text()
    servers = ("sqlalchemy", "starlette", "uvicorn", "pyroaring", "cyclopts", "alembic", "rich")

    assert [name for name in servers if f"\n{name}==" in f"\n{pins}"] == []
