"""From an empty folder to how this machine stands; each step goes on from what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from patchtide.entry.cli.client import Unreachable
from patchtide.entry.cli.up.api import WRONG_STATE, Api, ServerRefused
from patchtide.entry.cli.up.errors import HomeNotUsable, NotFinished
from patchtide.entry.cli.up.home import Home
from patchtide.entry.cli.up.parts import Parts
from patchtide.entry.cli.up.progress import Progress, Step

T = TypeVar("T")
FRESH = timedelta(hours=1)
LOOK_S = 0.2
MISSED_LOOKS = 5
"""So many looks at how far something is may fail one after the other; it goes on all the same."""
CVES_S = 60.0
PAGE = 500

_STEPS = {
    "starting": "starting",
    "fetching": "fetching what the archives publish",
    "verifying": "verifying signatures and reading",
    "enriching": "reading what advisories say of the updates",
    "comparing": "comparing",
    "publishing": "publishing",
}
_CURES = {
    "feed-unreachable": "look at the network and at the sources in /etc/apt, then run this again",
    "feed-not-signed": "see that the source's keys are installed, then run this again",
    "feed-damaged": "run apt-get update and look at what it says, then run this again",
    "feed-expired": "look at the clock, run apt-get update, then run this again",
    "no-feed": "add a security or an updates suite to the sources in /etc/apt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How this machine stands."""

    machine: Mapping[str, Any]
    counts: Mapping[str, int]
    required: Sequence[Mapping[str, Any]]
    as_of: str
    """When a vendor last signed anything of what was compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    home: Home
    parts: Parts
    api: Api
    progress: Progress

    def tell(self) -> Standing:
        """Go through every step.

        Raises:
            PatchtideError: one of them failed; what was done before it stays.
        """
        self._serve()
        as_of, is_news = self._synchronise()
        machine, is_new = self._enrol()
        self._scan()
        counts, required = self._required(machine)
        if not _have_packages(required):
            self._scan("Packages of this machine")  # the list of them is asked for, and sent apart
        if is_news or is_new:
            self._wait_for_cves(machine)
        counts, required = self._required(machine)
        return Standing(
            machine=self.api.ask("machines.show", machine=machine),
            counts=counts,
            required=required,
            as_of=as_of,
        )

    def _serve(self) -> None:
        first = "" if self.home.token() else ": keys, database, first administrator"
        with self.progress.step(f"Server{first}") as step:
            self.parts.start_server(self.api.answers)
            if not self.home.token():
                self._claim()
            self.api.hang_up()
            step.end(f"{self.parts.where.url}, home {self.home.path}")

    def _claim(self) -> None:
        if not self.home.code.exists():
            raise HomeNotUsable(
                f"{self.home.path} has an administrator already, whose token is not there;"
                " write the API token of a full administrator into administrator-token"
            )
        code = self.home.code.read_text("ascii").strip()
        issued = self.api.ask("site.bootstrap", code=code, name="patchtide up")
        self.home.keep_token(issued["token"])

    def _synchronise(self) -> tuple[str, bool]:
        """Return the moment that the catalog is of, and whether it was read just now."""
        is_news = False
        with self.progress.step("Catalog of this machine's apt sources") as step:
            run = self._newest()
            if run is None or run["state"] != "done" or _age(run) > FRESH:
                self._begin()
                is_news = True
                run = self._followed(step)
            if run["state"] == "done":
                step.end(_catalog_in_words(run))
        if run["state"] == "done":
            if run["note"]:
                self.progress.warn(run["note"])
            return str(run["as_of"]), is_news
        return self._older(run), False

    def _newest(self) -> Mapping[str, Any] | None:
        items = self.api.ask("catalog.synchronisations")["items"]
        return items[0] if items else None

    def _begin(self) -> None:
        try:
            self.api.ask("catalog.synchronise", full=True)
        except ServerRefused as error:
            if error.said_code != WRONG_STATE:  # the server has begun one by itself
                raise

    def _followed(self, step: Step) -> Mapping[str, Any]:
        while True:
            run = self._looked(self._newest)
            if run is not None and run["state"] != "running":
                return run
            step.note(_STEPS.get(run["step"], "") if run else "")
            time.sleep(LOOK_S)

    def _looked(self, look: Callable[[], T]) -> T:
        """Look again at once a look failed: what is looked at does not end by that.

        Raises:
            ServerRefused, Unreachable: what the last of several looks came to.
        """
        for _ in range(MISSED_LOOKS - 1):
            try:
                return look()
            except (ServerRefused, Unreachable):
                time.sleep(LOOK_S)
        return look()

    def _older(self, failed: Mapping[str, Any]) -> str:
        """Go on with the catalog of an earlier time, if there is any."""
        why = f"{failed['code'] or failed['state']}: {failed['error']}"
        for run in self.api.ask("catalog.synchronisations")["items"]:
            if run["state"] == "done":
                self.progress.warn(f"{why}; going on with the catalog of {_moment(run['as_of'])}")
                return str(run["as_of"])
        cure = _CURES.get(failed["code"], "then run this again")
        raise NotFinished(f"the catalog could not be read: {why}\n  {cure}; what was done stays")

    def _enrol(self) -> tuple[str, bool]:
        """Return the machine's id, and whether it is new here."""
        known = self.parts.enrolled()
        if known and known[1] == self.parts.where.url:
            return known[0], False
        with self.progress.step("Agent of this machine, report-only") as step:
            self.parts.enrol(self.api.ask("tokens.create", uses=1, hours=1)["token"])
            known = self.parts.enrolled()
            if known is None:
                raise NotFinished("the agent has enrolled and does not know it; run this again")
            step.end(f"enrolled as {known[0]}")
        return known[0], True

    def _scan(self, title: str = "Scan of this machine") -> None:
        with self.progress.step(title):
            self.parts.scan()

    def _wait_for_cves(self, machine: str) -> None:
        _, required = self._required(machine)
        if all(update["cves"] is not None for update in required):
            return
        with self.progress.step("CVEs of what is required") as step:
            end = time.monotonic() + CVES_S
            while left := self._looked(self._to_describe):
                if time.monotonic() > end:
                    break
                step.note(f"reading changelogs, {left} to go")
                time.sleep(LOOK_S)
            _, required = self._required(machine)
            known = sum(update["cves"] is not None for update in required)
            step.end(f"known for {known} of {len(required)} updates")

    def _to_describe(self) -> int:
        return int(self.api.ask("catalog.status")["to_describe_required"])

    def _required(self, machine: str) -> tuple[Mapping[str, int], list[Mapping[str, Any]]]:
        found: list[Mapping[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = self.api.ask(
                "machines.updates", machine=machine, state="required", limit=PAGE, **after
            )
            if page["doubt"]:
                raise NotFinished(f"nothing is known of this machine: {page['doubt']}")
            found += page["items"]
            if page["next"] is None:
                return page["counts"], found
            after = {"after": page["next"]}


def _have_packages(required: Sequence[Mapping[str, Any]]) -> bool:
    return not required or any(update["packages"] for update in required)


def _age(run: Mapping[str, Any]) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(run["started_at"])


def _catalog_in_words(run: Mapping[str, Any]) -> str:
    news = [f"{run[name]} {name}" for name in ("new", "revised", "gone") if run[name]]
    return f"{run['updates']} updates ({', '.join(news) or 'nothing new'})"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
