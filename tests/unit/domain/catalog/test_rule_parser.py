"""The text of rules: what is understood, how it is written, and what is said of every mistake."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rule_text import RESERVED, laid_out, rule_text
from patchtide.domain.catalog.rules import (
    MAX_DEPTH,
    MAX_NAMES,
    MAX_NODES,
    MAX_TEXT,
    Always,
    And,
    Architecture,
    Comparison,
    FactIs,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
)

CANONICAL = {
    "os debian 12 and arch amd64 and deb openssl < 3.0.11-1~deb12u2": "",
    'not file "/etc/nologin" exists': "",
    "service ssh running": "",
    "not not always": "",
    "any of (never)": "",
    "update 4294967295 installed": "",
    'unsupported "pkg apk"': "",
    'deb "a b":amd64 = 1:2.0': "",
    "rpm kernel < 5.14.0-427": "",
    "module nodejs:18": "",
    'module "a:b":"c d"': "",
    "deb openssl": "deb openssl installed",
    "  arch = amd64 # the usual one\n": "arch amd64",
    "os debian = 12": "os debian 12",
    "os debian in (11, 12,)": "os debian in (11, 12)",
    "any (deb a, deb b)": "deb a installed or deb b installed",
    "all of (always, any of (never, always))": "always and (never or always)",
    "always and never or always": "(always and never) or always",
    "((always))": "always",
    "file /etc/nologin exists": 'file "/etc/nologin" exists',
    'file "/x" size = 007': 'file "/x" size = 7',
    'file "/x" modified < 2026-03-31T00:00:00Z': 'file "/x" modified < 2026-03-31',
    r'file "C:\Windows\" exists': "",
    r'deb "\u{e9}\u{22}\u{5c}" installed': r'deb "é\u{22}\" installed',
}


@pytest.mark.parametrize(("text", "canonical"), CANONICAL.items(), ids=CANONICAL)
def test_what_means_the_same_has_one_canonical_text(text: str, canonical: str) -> None:
    assert rule_text(parse_rule(text)) == (canonical or text)


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_has_an_example_in_canonical_text(name: str) -> None:
    rule = parse_rule(FACTS[name].example)

    assert isinstance(rule, FactIs) and rule.fact == name
    assert rule_text(rule) == FACTS[name].example


def test_and_binds_closer_than_or_and_not_closest() -> None:
    deb = PackageFormat.DEB
    a, b, c = (PackageInstalled(deb, name) for name in "abc")

    assert parse_rule("deb a or not deb b and deb c") == Or((a, And((Not(b), c))))


def test_a_name_may_be_any_word_that_stands_in_quotes() -> None:
    for word in sorted(RESERVED):
        rule = PackageInstalled(PackageFormat.RPM, word, Comparison.LESS, word)

        assert parse_rule(f'rpm "{word}" < "{word}"') == rule
        with pytest.raises(InvalidRule):
            parse_rule(f"rpm {word} < 1")
    assert parse_rule('os deb "arch"') == OperatingSystem("deb", ("arch",))
    assert rule_text(OperatingSystem("deb", ("arch",))) == 'os deb "arch"'


def test_a_long_rule_is_laid_out_in_lines() -> None:
    rule = parse_rule("not (deb liba < 1.0 or deb libb < 2.0) and os debian 12")

    assert list(laid_out(rule, width=30)) == [
        "all of (",
        "  not any of (",
        "    deb liba < 1.0,",
        "    deb libb < 2.0,",
        "  ),",
        "  os debian 12,",
        ")",
    ]


LIST = "a list of rules is written `all of (...)` or `any of (...)`"
MISTAKES = {
    "": [(1, 1, "a condition is missing here")],
    "# nothing": [(1, 10, "a condition is missing here")],
    "dbe openssl < 3": [(1, 1, "no condition begins with `dbe`; did you mean `deb`?")],
    "deb < 3": [(1, 5, "a package's name is missing here")],
    "deb openssl <": [(1, 14, "a version is missing here")],
    "deb openssl == 3": [(1, 13, "`==` is no comparison; equal is `=`")],
    "deb x: < 3": [
        (1, 5, "an architecture is missing at the colon; a name with one stands in quotes")
    ],
    "module nodejs": [(1, 8, "the module's stream is missing; it is written as `nodejs:18`")],
    "deb a && deb b": [(1, 7, "`&&` is no comparison; did you mean `and`?")],
    "always && never": [
        (
            *(1, 8),
            "nothing is meant by `&&` here: `and` or `or` follows; did you mean `and`?",
        )
    ],
    "os debian 12 arch amd64": [(1, 14, "`and` or `or` is missing before this")],
    "os debian 12 13": [(1, 14, "nothing is meant by `13` here: `and` or `or` follows")],
    "always and": [(1, 11, "a condition is missing here")],
    "(always": [(1, 1, "this parenthesis is never closed")],
    "always)": [(1, 7, "this parenthesis closes none")],
    "always, never": [(1, 7, f"a comma stands only in a list; {LIST}")],
    "(always, never)": [(1, 1, f"there is a comma in these parentheses; {LIST}")],
    "arch in amd64": [(1, 9, "`in` is followed by a list in parentheses, as `in (a, b)`")],
    "arch in (amd64 arm64)": [(1, 16, "this list goes on with `,` or ends with `)`")],
    "service ssh runing": [
        (1, 13, "nothing of a service is called `runing`; did you mean `running`?")
    ],
    "service ssh": [
        (
            1,
            12,
            "what of this service is meant is missing; say `installed`, `running` or `enabled`",
        )
    ],
    'file "/x" size > big': [(1, 18, "`big` must be a whole number of up to 30 digits")],
    'file "/x" sha256 < 00': [(1, 18, "`<` cannot be asked of a hash; say `=` or `!=`")],
    'file "/x" modified > 2026-02-30': [
        (
            *(1, 22),
            "`2026-02-30` must be a day, as 2026-03-31, or a time in UTC, as 2026-03-31T18:30:00Z",
        )
    ],
    'file "/x" size between 9 and 1': [
        (1, 24, "nothing is between `9` and `1`; the lower one goes first")
    ],
    'file "/x': [(1, 6, "this quote is never closed; it must be, on its own line")],
    r'file "\u{110000}" exists': [
        (1, 6, r"`\u{110000}` is no character; one is written as \u{e9}")
    ],
    'deb "a\u202eb"': [
        (1, 5, r"a character in it cannot be seen; in quotes it is written as \u{202e}")
    ],
    "update openssl installed": [(1, 8, "an update is named by its number")],
    "update 4294967296 installed": [(1, 8, "there is no number above 4294967295")],
    "any of deb a": [(1, 8, f"`any of` is followed by `(`; {LIST}")],
    "language de": [(1, 10, "what must hold is missing here; say `=`, `!=` or `matches`")],
    "os debian 12 an arch amd64\nor dbe openssl < 3 and (service ssh runing)\nand": [
        (1, 14, "nothing is meant by `an` here: `and` or `or` follows; did you mean `and`?"),
        (2, 4, "no condition begins with `dbe`; did you mean `deb`?"),
        (2, 37, "nothing of a service is called `runing`; did you mean `running`?"),
        (3, 4, "a condition is missing here"),
    ],
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.items(), ids=map(repr, MISTAKES))
def test_every_mistake_is_told_with_its_place_and_a_cure(
    text: str, told: list[tuple[int, int, str]]
) -> None:
    with pytest.raises(InvalidRule) as refused:
        parse_rule(text)

    found = [(m.line, m.column, m.sentence) for m in refused.value.mistakes]
    assert found == told
    assert [p.what for p in refused.value.problems] == [sentence for _, _, sentence in told]


def test_a_mistake_is_shown_with_a_mark_under_its_place() -> None:
    with pytest.raises(InvalidRule) as refused:
        parse_rule("always and\n  dbe openssl < 3 and " + "always and " * 9 + "ssh")

    *first, _, line, mark = refused.value.shown()
    assert first == [
        "line 2, column 3: no condition begins with `dbe`; did you mean `deb`?",
        "    dbe openssl < 3 and always and always and always and always \N{HORIZONTAL ELLIPSIS}",
        "    ^^^",
    ]
    assert line.endswith("and ssh") and line.startswith("  \N{HORIZONTAL ELLIPSIS}")
    assert line[mark.index("^") :] == "ssh" and mark.strip() == "^^^"


def test_what_is_too_large_is_told_once() -> None:
    too_large = {
        "parts": " and ".join(["always"] * MAX_NODES),
        "a word": f"deb {'a' * (MAX_TEXT + 1)}",
        "a list": f"arch in ({','.join(['a'] * (MAX_NAMES + 1))})",
        "depth": "not " * 40 + "always",
        "depth without parentheses": "(" * 31 + "always and (never or always)" + " and never)" * 31,
    }

    for text in too_large.values():
        with pytest.raises(InvalidRule) as refused:
            parse_rule(text)
        assert len(refused.value.mistakes) == 1
    assert parse_rule(f"arch in ({','.join(['a'] * MAX_NAMES)})") == Architecture(
        ("a",) * MAX_NAMES
    )


WRAPPERS: dict[str, Callable[[Rule], Rule]] = {
    "not": Not,
    "one of a list": lambda rule: Or((rule,)),
    "and": lambda rule: And((Never(), rule)),
    "or within and": lambda r: And((r, Always())) if isinstance(r, Or) else Or((Never(), r)),
    "not and": lambda rule: And((rule, Always())) if isinstance(rule, Not) else Not(rule),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_the_deepest_rule_is_read_back(wrap: Callable[[Rule], Rule]) -> None:
    rule: Rule = Always()
    while rule.depth < MAX_DEPTH:
        rule = wrap(rule)

    assert parse_rule(rule_text(rule)) == rule
    assert parse_rule("\n".join(laid_out(rule, width=20))) == rule


def test_of_many_mistakes_the_first_fifty_are_told() -> None:
    with pytest.raises(InvalidRule) as refused:
        parse_rule("dbe and " * 200 + "always")

    *told, last = refused.value.mistakes
    assert len(told) == 50
    assert last.what == "nothing was read from here on"
