"""House rules no linter has: what the sources may not contain, read from their syntax (S13).

Each rule has a planted violation, so that a rule that finds nothing is known to look.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src/patchtide").rglob("*.py"))
RUNS_COMMANDS = {"adapters/platforms/commands.py"}
TALKS_TLS_BY_HAND = {"adapters/transport/site_ca.py"}

Rule = Callable[[ast.AST], bool]


def dotted(node: ast.AST) -> str:
    """The dotted name that an expression spells, or nothing."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if dotted(value):
            return f"{dotted(value)}.{attr}"
        case _:
            return ""


def calls(*names: str) -> Rule:
    def rule(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and dotted(node.func) in names

    return rule


def calls_method(*names: str) -> Rule:
    def rule(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in names
        )

    return rule


def imports(*modules: str) -> Rule:
    def rule(node: ast.AST) -> bool:
        match node:
            case ast.Import(names=names):
                return any(n.name.partition(".")[0] in modules for n in names)
            case ast.ImportFrom(module=str(module), level=0):
                return module.partition(".")[0] in modules
            case _:
                return False

    return rule


def passes(argument: str, value: bool) -> Rule:
    def rule(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.keyword)
            and node.arg == argument
            and isinstance(node.value, ast.Constant)
            and node.value.value is value
        )

    return rule


def mentions(*names: str) -> Rule:
    def rule(node: ast.AST) -> bool:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                return name in names
            case ast.Constant(value=value):
                return value in names
            case _:
                return False

    return rule


def sets_false(attribute: str) -> Rule:
    def rule(node: ast.AST) -> bool:
        match node:
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Constant(value=False)):
                return name == attribute
            case _:
                return False

    return rule


def swallows(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.ExceptHandler)
        and all(isinstance(n, ast.Pass) for n in node.body)
        and (node.type is None or dotted(node.type) in ("Exception", "BaseException"))
    )


RULES: dict[str, tuple[Rule, set[str], str]] = {
    "nothing runs what it reads": (
        imports("pickle", "marshal", "shelve", "dill"),
        set(),
        "from pickle import loads",
    ),
    "no code is made from text": (
        calls("eval", "exec", "compile", "builtins.eval", "builtins.exec"),
        set(),
        "eval(text)",
    ),
    "YAML is never loaded into objects": (
        calls("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
        set(),
        "yaml.load(text)",
    ),
    "no template comes from a user": (
        calls_method("from_string"),
        set(),
        "environment.from_string(text)",
    ),
    "there is no shell": (
        passes("shell", value=True),
        set(),
        "run(command, shell=True)",
    ),
    "no shell hides in os": (
        calls("os.system", "os.popen", "asyncio.create_subprocess_shell"),
        set(),
        "os.system(command)",
    ),
    "one module runs commands": (
        imports("subprocess", "pty", "multiprocessing"),
        RUNS_COMMANDS,
        "import subprocess",
    ),
    "chance comes from the system's generator": (
        imports("random"),
        set(),
        "import random",
    ),
    "certificates are verified": (
        mentions("CERT_NONE", "_create_unverified_context", "disable_warnings"),
        TALKS_TLS_BY_HAND,
        "context.verify_mode = ssl.CERT_NONE",
    ),
    "verification is not switched off": (
        passes("verify", value=False),
        TALKS_TLS_BY_HAND,
        "get(url, verify=False)",
    ),
    "host names are checked": (
        passes("check_hostname", value=False),
        TALKS_TLS_BY_HAND,
        "connect(check_hostname=False)",
    ),
    "host names stay checked": (
        sets_false("check_hostname"),
        TALKS_TLS_BY_HAND,
        "context.check_hostname = False",
    ),
    "no error is swallowed": (swallows, set(), "try:\n    work()\nexcept Exception:\n    pass"),
}


@cache
def broken() -> Mapping[str, Sequence[str]]:
    """Return where each rule is broken: every source is read once for all of them."""
    found: dict[str, list[str]] = {name: [] for name in RULES}
    for path in SOURCES:
        source = str(path.relative_to(ROOT / "src/patchtide"))
        rules = [(name, rule) for name, (rule, exempt, _) in RULES.items() if source not in exempt]
        for node in ast.walk(ast.parse(path.read_text())):
            for name, rule in rules:
                if rule(node):
                    found[name].append(f"{source}:{getattr(node, 'lineno', 0)}")
    return found


@pytest.mark.parametrize("name", RULES)
def test_the_sources_keep_the_rule(name: str) -> None:
    assert broken()[name] == []


@pytest.mark.parametrize(("rule", "exempt", "planted"), RULES.values(), ids=RULES)
def test_the_rule_finds_a_planted_violation(rule: Rule, exempt: set[str], planted: str) -> None:
    assert any(rule(node) for node in ast.walk(ast.parse(planted)))
