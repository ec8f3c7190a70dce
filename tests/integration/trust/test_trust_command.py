"""`patchtide trust`: keys moved away, drafts signed elsewhere, floors raised; machines follow."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tuf.api.metadata import Metadata, TargetFile

from patchtide.adapters.trust.client import TrustClient
from patchtide.adapters.trust.drafts import sign_draft
from patchtide.adapters.trust.keys import KeyFolder, KeysElsewhere, read_key_file
from patchtide.adapters.trust.layout import LIFE, no_delegations, to_bytes
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.domain.errors import Refused
from patchtide.entry.agent.trust_cli import PlainGetter
from patchtide.entry.cli.commands import run
from tests.integration.trust.test_repository import served
from tests.simulator.signing import first_root, keys_on_server

OFFLINE = ("publisher", "agent", "targets", "root")


class Site:
    """A server's home folder with a machine that follows it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.people = folder / "home", folder / "people"
        self.people.mkdir()
        self.home.mkdir(mode=0o700)
        self.repository = TrustRepository(
            self.home / "published", KeyFolder(self.home / "keys/trust")
        )
        self.repository.create(datetime.now(UTC))
        self.keys = {name: self.done(f"key {self.key_file(name)}")["key"] for name in "abc"}

    def key_file(self, name: str) -> Path:
        return self.people / f"{name}.pem"

    def ran(self, words: str) -> tuple[int, str]:
        text = io.StringIO()
        console = Console(file=text, width=100, color_system=None, force_terminal=False)
        return run(["trust", *words.split()], console=console), text.getvalue()

    def done(self, words: str, *, at_home: bool = False) -> Any:
        code, text = self.ran(f"{words} --json {f'--home {self.home}' if at_home else ''}")
        assert code == 0, text
        return json.loads(text)

    def here(self, words: str) -> Any:
        return self.done(words, at_home=True)

    def refused(self, words: str, *, at_home: bool = True) -> tuple[int, str]:
        return self.ran(f"{words} {f'--home {self.home}' if at_home else ''}")

    def standing(self) -> dict[str, dict[str, Any]]:
        return {row["role"]: row for row in self.here("status")["items"]}

    def move_away(self, role: str) -> None:
        """Two of three people sign for the role from now on, and the server does not."""
        keys = " ".join(f"--key {key}" for key in self.keys.values())
        signs = f"--sign-with {self.key_file('a')} --sign-with {self.key_file('b')}"
        self.here(f"raise {role} {keys} --threshold 2 --replace {signs}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def machine(site: Site, tmp_path: Path) -> Iterator[TrustClient]:
    with ExitStack() as stack:
        base = stack.enter_context(served(site.home / "published", []))
        made = TrustClient(
            tmp_path / "machine",
            first_root(site.repository),
            metadata_url=f"{base}/metadata",
            targets_url=f"{base}/targets",
            getter=PlainGetter(),
            build_time=0.0,
        )
        stack.callback(made.close)
        made.refresh(datetime.now(UTC).timestamp())
        yield made


def follows(machine: TrustClient) -> dict[str, bytes]:
    machine.refresh(datetime.now(UTC).timestamp())
    return dict(machine.trust_seen())


def test_a_new_site_is_told_which_keys_should_not_lie_on_the_server(site: Site) -> None:
    standing = site.standing()

    warned = {role for role, row in standing.items() if row["warnings"]}
    assert warned == set(OFFLINE)
    assert standing["root"]["warnings"] == [
        "whoever owns this server can sign for it; move its keys away"
    ]
    assert {row["signatures"] for row in standing.values()} == {"1 of 1"}


def test_status_is_a_table_for_people(site: Site) -> None:
    code, text = site.refused("status")

    rows = {line.split()[0]: line.split()[1:4] for line in text.splitlines() if line[:1].strip()}
    assert code == 0
    assert rows["role"] == ["version", "expires", "signatures"]
    assert rows["timestamp"][0] == "1"


def test_keys_move_away_and_machines_follow(site: Site, machine: TrustClient) -> None:
    for role in OFFLINE:
        site.move_away(role)

    standing = site.standing()
    assert {role: standing[role]["signatures"] for role in OFFLINE} == dict.fromkeys(
        OFFLINE, "2 of 3"
    )
    assert not any(row["warnings"] for row in standing.values())
    assert keys_on_server(site.repository, datetime.now(UTC)) == set()
    with pytest.raises(KeysElsewhere):
        site.repository.publish("publisher", {"publisher/own/a": b"x"}, datetime.now(UTC))
    site.repository.publish("feeds", {"feeds/deb/a": b"one"}, datetime.now(UTC))
    follows(machine)
    assert machine.root_version() == 3
    assert machine.read_target("feeds/deb/a", 10) == b"one"


def test_keys_that_count_no_more_can_be_forgotten_and_others_cannot(site: Site) -> None:
    [old] = site.repository._keys.key_ids("publisher")
    [counting] = site.repository._keys.key_ids("timestamp")
    site.move_away("publisher")
    assert site.here("status")["unused_keys"] == [f"publisher.{old}"]

    refused = site.refused(f"forget publisher.{old} timestamp.{counting}")
    kept = (site.home / f"keys/trust/publisher.{old}.pem").exists()
    site.here(f"forget publisher.{old}")

    assert refused[0] == 1 and f"timestamp.{counting}" in refused[1] and kept
    assert not (site.home / f"keys/trust/publisher.{old}.pem").exists()
    assert site.here("status")["unused_keys"] == []


def test_a_draft_goes_round_and_is_adopted_once_enough_have_signed(
    site: Site, machine: TrustClient, tmp_path: Path
) -> None:
    for role in ("targets", "root"):
        site.move_away(role)
    before = site.standing()["targets"]["version"]
    drafts = tmp_path / "drafts"
    file = drafts / "targets.json"

    code, text = site.refused("renew targets")
    assert code == 1 and "not-signed" in text and "patchtide trust draft" in text
    [draft] = site.here(f"draft targets --out {drafts}")["items"]
    shown = site.done(f"show {file}")["items"]
    [once] = site.done(f"sign {file} --sign-with {site.key_file('a')}")["items"]
    too_few = site.refused(f"adopt {file}")
    site.done(f"sign {file} --sign-with {site.key_file('c')}")
    [row] = site.here(f"adopt {file}")["items"]

    assert (draft["version"], draft["signed_by"]) == (before + 1, [])
    assert {x["of"] for x in shown} == {"feeds", "publisher", "agent"}
    assert {x["says"] for x in shown if x["of"] == "feeds"} >= {
        "1 of 1 keys sign", "may sign feeds/*/*", "alone",
    }  # fmt: skip
    assert len(once["signed_by"]) == 1
    assert too_few[0] == 1 and "not signed as required: targets" in too_few[1]
    assert row["version"] == before + 1
    assert site.refused(f"adopt {file}")[0] == 1  # it is no next version any more
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    follows(machine)


def test_a_stolen_timestamp_key_is_replaced_by_those_who_hold_the_root(
    site: Site, machine: TrustClient, tmp_path: Path
) -> None:
    site.move_away("root")
    [retired] = site.here("status")["unused_keys"]
    [stolen] = site.repository._keys.key_ids("timestamp")
    root = tmp_path / "drafts/root.json"

    site.here(f"draft timestamp --make-key --replace --out {tmp_path / 'drafts'}")
    site.done(f"sign {root} --sign-with {site.key_file('b')} --sign-with {site.key_file('c')}")
    site.here(f"adopt {root}")

    assert site.here("status")["unused_keys"] == [retired, f"timestamp.{stolen}"]
    seen = follows(machine)
    assert machine.root_version() == 3
    signed = json.loads((site.home / "published/metadata/timestamp.json").read_bytes())
    assert stolen not in {s["keyid"] for s in signed["signatures"]}
    assert "timestamp" in seen


def test_a_root_that_leaves_the_server_without_its_keys_is_refused(
    site: Site, tmp_path: Path
) -> None:
    before = sorted(p.name for p in (site.home / "published/metadata").iterdir())

    code, text = site.refused(f"raise timestamp --key {site.keys['a']} --replace")

    assert code == 1 and "the keys of timestamp are not all on this server" in text
    assert sorted(p.name for p in (site.home / "published/metadata").iterdir()) == before


def test_after_a_restore_versions_go_on_above_what_machines_saw(
    site: Site, machine: TrustClient
) -> None:
    raised = {role: site.here(f"floor {role} 412")["items"][0] for role in ("timestamp", "feeds")}

    assert {role: row["version"] for role, row in raised.items()} == {
        "timestamp": 413,
        "feeds": 413,
    }
    follows(machine)


def test_a_floor_above_an_offline_role_asks_for_its_renewal(site: Site) -> None:
    site.move_away("publisher")

    [row] = site.here("floor publisher 20")["items"]

    assert row["version"] == 2
    assert row["warnings"] == ["machines may have seen version 20; renew it"]
    signs = f"--sign-with {site.key_file('a')} --sign-with {site.key_file('b')}"
    assert site.here(f"renew publisher {signs}")["items"][0]["version"] == 21


KEY = "3b" * 32
REFUSALS = {
    "a key that is none": ("raise root --key 3b3b", 2, "key: '3b3b' is no public key"),
    "a threshold that is lower": ("raise agent --threshold 1", 1, "is less than the 2 signatures"),
    "more signatures than keys": ("raise root --threshold 2", 1, "2 of 1 keys cannot be required"),
    "replaced by nothing": ("raise root --replace", 2, "needs the keys that come instead"),
    "two roles with keys": (
        f"draft root targets --key {KEY} --out d", 2, "change one role at a time",
    ),
    "a file named for no role": ("adopt people/a.pem", 2, "is not named for a role"),
    "a file that is not there": ("adopt nowhere/root.json", 1, "No such file"),
    "no metadata": ("adopt people/root.json", 1, "this is no metadata"),
    "a root with gaps": ("floor root 7", 1, "versions of the root have no gaps"),
    "a version below one": ("floor feeds 0", 2, "must be 1 to"),
    "no such role": ("raise nobody", 2, "nobody"),
    "an unknown key": (f"forget root.{KEY}", 1, "no unused key here"),
    "a key that others may read": ("renew root --sign-with people/open.pem", 1, "others may read"),
    "no key file": ("renew root --sign-with people/root.json", 1, "holds no private key"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_why_and_changes_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, words: str, code: int, said: str
) -> None:
    monkeypatch.chdir(site.home.parent)
    site.move_away("agent")
    Path("people/root.json").write_text("{}")
    Path("people/root.json").chmod(0o600)
    Path("people/open.pem").write_bytes(site.key_file("a").read_bytes())
    Path("people/open.pem").chmod(0o644)
    before = site.here("status")

    ended, text = site.refused(words)

    assert ended == code and said in " ".join(text.split())
    assert site.here("status") == before


def test_a_key_is_never_written_over(site: Site) -> None:
    before = site.key_file("a").read_bytes()

    code, text = site.refused(f"key {site.key_file('a')}", at_home=False)

    assert code == 1 and "never written over" in text
    assert site.key_file("a").read_bytes() == before
    assert stat.S_IMODE(site.key_file("a").stat().st_mode) == 0o600


def test_a_folder_without_a_repository_stays_as_it_is(site: Site, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    code, text = site.refused(f"status --home {empty}", at_home=False)

    assert code == 2 and "no-repository" in text
    assert list(empty.iterdir()) == []


def test_another_user_than_the_servers_is_sent_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: site.home.stat().st_uid + 1)

    code, text = site.refused("renew root")

    assert code == 1 and "run this as that user" in text


def test_what_the_server_signs_itself_is_renewed_without_a_draft(
    site: Site, machine: TrustClient
) -> None:
    items = site.here("renew snapshot timestamp targets")["items"]

    assert {row["role"]: row["version"] for row in items} == {
        "targets": 2,
        "snapshot": 3,
        "timestamp": 3,
    }
    assert site.refused("draft timestamp --out x")[0] == 1
    follows(machine)


def forged(site: Site, drafts: Path, **changes: Any) -> Path:
    """What an owned server drafts: the renewal of targets, with a little more in it."""
    site.here(f"draft targets --out {drafts}")
    file = drafts / "targets.json"
    metadata = Metadata.from_bytes(file.read_bytes())
    for name, value in changes.items():
        setattr(metadata.signed.delegations.roles["feeds"], name, value)
    file.write_bytes(to_bytes(metadata))
    return file


def in_force(site: Site, role: str) -> Path:
    version = site.repository.version(role)
    return site.home / f"published/metadata/{version}.{role}.json"


def test_another_key_under_a_known_id_is_shown_as_the_key_that_it_is(
    site: Site, tmp_path: Path
) -> None:
    site.here(f"draft targets --out {tmp_path}")
    file = tmp_path / "targets.json"
    document = json.loads(file.read_bytes())
    delegations = document["signed"]["delegations"]
    [key_id] = delegations["roles"][1]["keyids"]
    delegations["keys"][key_id]["keyval"]["public"] = site.keys["a"]
    file.write_text(json.dumps(document))

    shown = site.done(f"show {file} --against {in_force(site, 'targets')}")["items"]

    assert [x["change"] for x in shown] == ["-", "+"]
    assert shown[1]["says"] == f"key {site.keys['a']} (id {key_id})"


WIDER = {
    "more paths": {"paths": ["feeds/*/*", "publisher/*/*"]},
    "not the last word": {"terminating": False},
}


@pytest.mark.parametrize("changes", WIDER.values(), ids=WIDER)
def test_a_draft_that_gives_an_online_role_more_reach_is_shown_and_never_signed(
    site: Site, tmp_path: Path, changes: dict[str, Any]
) -> None:
    for role in ("targets", "root"):
        site.move_away(role)
    file = forged(site, tmp_path / "drafts", **changes)
    current = in_force(site, "targets")
    signs = f"--sign-with {site.key_file('a')} --sign-with {site.key_file('b')}"

    shown = site.done(f"show {file} --against {current}")
    code, text = site.refused(f"sign {file} {signs}", at_home=False)
    signed = sign_draft(file.read_bytes(), [read_key_file(site.key_file(x)) for x in "ab"])
    with pytest.raises(Refused, match="delegates otherwise"):
        site.repository.accept({"targets": signed}, datetime.now(UTC))

    assert {x["of"] for x in shown["items"]} == {"feeds"}
    assert "DO NOT SIGN" in shown["drafts"][0]
    assert code == 1 and "delegates otherwise than every site does" in text


def test_every_file_that_a_draft_vouches_for_is_shown_with_its_digest(
    site: Site, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    site.repository.publish("publisher", {"publisher/own/a": b"one"}, now)
    draft = site.repository.draft("publisher", {"publisher/own/a": b"evil"}, now)
    file = tmp_path / "publisher.json"
    file.write_bytes(draft)
    current = site.home / "published/metadata/2.publisher.json"

    changed = site.done(f"show {file} --against {current}")["items"]

    assert [(x["change"], x["of"], x["says"]) for x in changed] == [
        ("-", "publisher/own/a", f"sha256 {sha256(b'one').hexdigest()}"),
        ("+", "publisher/own/a", f"sha256 {sha256(b'evil').hexdigest()}"),
    ]


def test_a_draft_that_names_another_roles_files_or_delegates_on_is_refused(site: Site) -> None:
    now = datetime.now(UTC)
    for role, change in (("targets", _vouches_for_others), ("feeds", _delegates_on)):
        [(_, draft)] = site.repository.draft_renewal([role], now).items()
        metadata = Metadata.from_bytes(draft)
        change(metadata.signed)
        signed = site.repository.signed_here({role: to_bytes(metadata)})
        with pytest.raises(Refused, match=r"may not sign publisher/own/x|delegates to others"):
            site.repository.accept(signed, now)


def _vouches_for_others(signed: Any) -> None:
    signed.targets["publisher/own/x"] = TargetFile.from_data("publisher/own/x", b"", ["sha256"])


def _delegates_on(signed: Any) -> None:
    signed.delegations = no_delegations()


def test_a_draft_below_a_floor_or_with_no_life_or_too_much_is_not_adopted(site: Site) -> None:
    now = datetime.now(UTC)
    drafts = {
        "version 2 of targets is not": site.repository.draft_renewal(["targets"], now),
        "would end": site.repository.draft_renewal(["publisher"], now - LIFE["publisher"]),
        "must live": site.repository.draft_renewal(["agent"], now + LIFE["agent"]),
    }
    site.repository.raise_version_floor("targets", 50)

    for why, draft in drafts.items():
        with pytest.raises(Refused, match=why):
            site.repository.accept(site.repository.signed_here(draft), now)


def test_a_key_that_is_named_again_stays_when_others_are_replaced(site: Site) -> None:
    site.here(f"raise publisher --key {site.keys['a']} --replace --sign-with {site.key_file('a')}")

    site.here(
        f"raise publisher --key {site.keys['a']} --key {site.keys['b']} --replace"
        f" --threshold 2 --sign-with {site.key_file('a')} --sign-with {site.key_file('b')}"
    )

    assert site.standing()["publisher"]["signatures"] == "2 of 2"
