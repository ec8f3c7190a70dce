"""The agent's journal under kill -9, power cuts and failing disks (F01, F03, F05, F08, F09, F11).

One seeded harness: each round kills, cuts, starves and breaks at another place. Ten rounds by
default; PATCHTIDE_TORTURE_ROUNDS asks for more. After each: what the journal promised is there
(I2), it opens and is intact (I3), and counters and serials never went back (I6).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from patchtide.adapters.agentstate.sqlite import open_journal
from tests.torture.victim import JOURNAL_FAILED, SHARD

ROUNDS = range(int(os.environ.get("PATCHTIDE_TORTURE_ROUNDS", "10")))
ROOT = Path(__file__).resolve().parents[2]
STRACE = shutil.which("strace")
WRITING = ("pwrite64", "fdatasync", "fsync", "unlink", "ftruncate")
LINE = re.compile(r"(open|queued|sent|known|serial|failed) (\S+) ?(\S*)")
TIMEOUT_S = 60

needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@dataclass
class Promises:
    """What the victims said so far, over all their lives."""

    queued: int = 0
    known: int = 0
    serial: int = 0
    used: set[int] = field(default_factory=set)
    sent: dict[int, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def hear(self, output: str) -> None:
        for word, first, second in LINE.findall(output):
            match word:
                case "queued":
                    self.queued = int(first)
                    self._used(self.queued)
                case "known":
                    self.known = int(first)
                case "serial":
                    assert int(first) >= self.serial, "a shard's serial went back"
                    self.serial = int(first)
                case "sent":
                    self._sent(int(first), second)
                case "failed":
                    self.failed.append(first)

    def _sent(self, counter: int, body: str) -> None:
        """A message is new, with a higher counter, or one that was queued, byte for byte."""
        if counter not in self.used:
            self._used(counter)
        assert self.sent.setdefault(counter, body) == body, f"counter {counter} was used twice"

    def _used(self, counter: int) -> None:
        assert counter > max(self.used, default=0), f"counter {counter} went back"
        self.used.add(counter)

    def check(self, folder: Path, *, boot_id: str) -> None:
        """Open the journal as the next process would, and hold it to what was promised."""
        journal, lost = open_journal(folder / "journal.db", boot_id=boot_id)
        try:
            pending = journal.pending()
            head = journal.shards().get(SHARD)
            assert not lost
            assert (head.serial if head else 0) >= self.serial
            if self.queued > self.known:
                # Acknowledged perhaps, but then the next thing was said, or nothing at all.
                assert pending is None or pending.counter >= self.queued
                assert pending is not None or journal.acknowledged() is not None
            assert journal.take_counter() > max(self.used, default=0)
        finally:
            journal.close()
        _check_intact(folder)


def _check_intact(folder: Path) -> None:
    database = sqlite3.connect(folder / "journal.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def victim(folder: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "tests.torture.victim", str(folder), *map(str, options)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def run(command: Sequence[str], promises: Promises) -> int:
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    promises.hear(ended.stdout)
    return ended.returncode


def injected(call: str, fault: str, nth: int, trace: Path) -> list[str]:
    assert STRACE is not None
    quiet = [STRACE, "-f", "-qq", "--seccomp-bpf", "-o", str(trace)]
    return [*quiet, "-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={nth}", "--"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often one life makes each call."""
    folder = tmp_path_factory.mktemp("count")
    trace = folder / "trace"
    assert STRACE is not None
    traced = [STRACE, "-f", "-qq", "-o", str(trace), "-e", f"trace={','.join(WRITING)}", "--"]
    assert run([*traced, *victim(folder / "state")], Promises()) == 0
    text = trace.read_text()
    return {call: len(re.findall(rf"\b{call}\(", text)) for call in WRITING}


@needs_strace
@pytest.mark.parametrize("round_", ROUNDS)
def test_a_kill_at_any_write_loses_no_promise(
    round_: int, calls: dict[str, int], tmp_path: Path
) -> None:
    dice = random.Random(f"kill {round_}")
    promises = Promises()
    # Half the rounds meet a journal that is being made, half one that has lived.
    if round_ % 2:
        assert run(victim(tmp_path / "state"), promises) == 0
    call = dice.choice([c for c in WRITING if calls[c]])
    nth = dice.randint(1, calls[call])

    run([*injected(call, "signal=KILL", nth, tmp_path / "trace"), *victim(tmp_path / "state")],
        promises)  # fmt: skip

    promises.check(tmp_path / "state", boot_id="b1")
    assert run(victim(tmp_path / "state"), promises) == 0
    promises.check(tmp_path / "state", boot_id="b1")


@needs_strace
@pytest.mark.parametrize("round_", ROUNDS)
def test_a_failing_disk_ends_the_process_and_the_next_one_recovers(
    round_: int, calls: dict[str, int], tmp_path: Path
) -> None:
    error = ("EIO", "ENOSPC")[round_ % 2]
    dice = random.Random(f"{error} {round_}")
    promises = Promises()
    assert run(victim(tmp_path / "state"), promises) == 0
    call = "fdatasync" if error == "EIO" else "pwrite64"
    trace = tmp_path / "trace"
    fault = injected(call, f"error={error}", dice.randint(1, calls[call] // 2), trace)

    status = run([*fault, *victim(tmp_path / "state")], promises)

    # A failure while the log is folded back at the end costs nothing; SQLite does it next time.
    assert status in (0, JOURNAL_FAILED)
    assert status == 0 or promises.failed
    promises.check(tmp_path / "state", boot_id="b1")
    assert run(victim(tmp_path / "state"), promises) == 0


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty ext4 image in memory, to be copied for each round."""
    image = Path("/dev/shm") / f"patchtide-torture-{os.getpid()}.img"
    try:
        with image.open("wb") as file:
            file.truncate(32 << 20)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True)
        if made.returncode:
            pytest.skip("no ext4 image can be made here")
        yield image
    finally:
        image.unlink(missing_ok=True)


@dataclass
class Disk:
    """A loop-mounted image; copying its file while it is mounted is a power cut."""

    image: Path
    folder: Path

    def mount(self, *options: str) -> None:
        self.folder.mkdir(exist_ok=True)
        chosen = ",".join(("loop", *options))
        command = ["mount", "-o", chosen, str(self.image), str(self.folder)]
        mounted = subprocess.run(command, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no loop mounts here: {mounted.stderr.strip()}")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.folder)], capture_output=True)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("round_", ROUNDS)
def test_a_power_cut_after_any_promise_breaks_none(
    round_: int, formatted: Path, tmp_path: Path
) -> None:
    dice = random.Random(f"power {round_}")
    promises = Promises()
    image = formatted.with_suffix(f".{round_}")
    after = formatted.with_suffix(f".{round_}.cut")
    shutil.copyfile(formatted, image)
    disk = Disk(image, tmp_path / "before")
    cut = Disk(after, tmp_path / "after")
    # Only what was synced may count: the file system itself commits nothing for five minutes.
    disk.mount("commit=300")
    try:
        stop = dice.randint(2, 18)
        _live_until_power_cut(disk, after, promises, stop_after=stop)
        cut.mount()
        promises.check(cut.folder / "state", boot_id="b2")
        assert run(victim(cut.folder / "state", "--boot-id", "b2"), promises) == 0
    finally:
        cut.unmount()
        disk.unmount()
        image.unlink(missing_ok=True)
        after.unlink(missing_ok=True)


def _live_until_power_cut(disk: Disk, after: Path, promises: Promises, *, stop_after: int) -> None:
    command = victim(disk.folder / "state", "--cycles", 4, "--stop-after", stop_after)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), "the victim ended before its power was cut"
            shutil.copyfile(disk.image, after)
        finally:
            process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        promises.hear(process.stdout.read())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], capture_output=True)


@pytest.mark.root
@needs_root
def test_a_shard_that_does_not_fit_is_refused_up_front_and_the_report_goes_out(
    tiny_disk: Path,
) -> None:
    promises = Promises()

    status = run(victim(tiny_disk / "state", "--leaf-bytes", 100_000), promises)

    assert status == 0
    assert promises.serial == 0
    assert promises.known > 0
    promises.check(tiny_disk / "state", boot_id="b1")


@pytest.mark.root
@needs_root
def test_a_full_disk_stops_the_agent_and_free_space_lets_it_go_on(tiny_disk: Path) -> None:
    promises = Promises()
    assert run(victim(tiny_disk / "state"), promises) == 0
    ballast = tiny_disk / "ballast"
    with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))

    status = run(victim(tiny_disk / "state"), promises)
    ballast.unlink()

    assert status == JOURNAL_FAILED
    promises.check(tiny_disk / "state", boot_id="b1")
    assert run(victim(tiny_disk / "state"), promises) == 0


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(11).randbytes(path.stat().st_size))


def scribbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:20_000] = b"\xff" * (20_000 - 4096)
    path.write_bytes(content)


def deleted(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [truncated, emptied, garbage, scribbled, deleted])
def test_a_damaged_journal_is_moved_aside_and_begun_anew(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert run(victim(tmp_path / "state"), Promises()) == 0
    damage(tmp_path / "state" / "journal.db")

    journal, lost = open_journal(tmp_path / "state" / "journal.db", boot_id="b1")

    assert lost
    assert journal.load() is None
    journal.close()
    _check_intact(tmp_path / "state")
