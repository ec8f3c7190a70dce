"""`patchtide up`: parse, tell the story, show how this machine stands, go on until stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.text import Text

from patchtide.domain.errors import PatchtideError
from patchtide.entry.cli.printing import Printer, tame
from patchtide.entry.cli.up.api import Api
from patchtide.entry.cli.up.door import door
from patchtide.entry.cli.up.errors import NotFinished
from patchtide.entry.cli.up.home import TOKEN, Home
from patchtide.entry.cli.up.parts import Parts, Where
from patchtide.entry.cli.up.progress import Progress
from patchtide.entry.cli.up.shown import document_of, show
from patchtide.entry.cli.up.story import Standing, Story

DONE, FAILED, STOPPED = 0, 1, 130
HELP = "Bring up a whole site on this machine, and show which updates it lacks. Changes none."
_MAKE_ONE = "patchtide users create NAME --role full-administrator"
EXAMPLE = "up --home /srv/patchtide --port 8540"


def _option(text: str) -> Parameter:
    return Parameter(help=text, negative=())


def up_command(printer: Printer) -> Callable[..., int]:
    def up(
        *,
        home: Annotated[Path, _option("Folder of keys, database and content; made 0700.")] = Path(
            "var/patchtide"
        ),
        port: Annotated[int, _option("TLS port of console, administrators and agents.")] = 8540,
        host: Annotated[str, _option("Address to listen on.")] = "0.0.0.0",  # noqa: S104
        root: Annotated[Path, _option("The Debian system to look at, if not this one.")] = Path(
            "/"
        ),
        exit: Annotated[bool, Parameter(help="End after the table.", negative=())] = False,
        json: Annotated[bool, Parameter(help="Print it as JSON.", negative=())] = False,
    ) -> int:
        os.umask(0o077)
        # SIGINT too: a script that starts this in the background has it ignored otherwise.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        where = Where(host=host, port=port, root=root)
        try:
            return _Up(printer, home, where, is_brief=exit, as_json=json).run()
        except PatchtideError as error:
            printer.err.print(Text(tame(f"{error.code}: {error}", keep="\n")), soft_wrap=True)
            return FAILED
        except KeyboardInterrupt:
            printer.err.print(Text("stopped; run it again to go on from here"))
            return STOPPED

    return up


class _Up:
    def __init__(
        self, printer: Printer, home: Path, where: Where, *, is_brief: bool, as_json: bool
    ) -> None:
        self._printer = printer
        self._home = home
        self._where = where
        self._is_brief = is_brief
        self._as_json = as_json

    def run(self) -> int:
        with Home(self._home) as home:
            try:
                self._where.check()
                home.say_who(self._where.url)
                with Parts(home, self._where) as parts:
                    return self._go_on(home, parts)
            except (PatchtideError, OSError) as error:
                full = home.ran_full(str(error))
                if full is not None or not isinstance(error, PatchtideError):
                    raise full or _told(error) from error
                raise
            finally:
                home.abandon()

    def _go_on(self, home: Home, parts: Parts) -> int:
        api = Api(home, self._where.url)
        try:
            story = Story(home=home, parts=parts, api=api, progress=Progress(self._printer.err))
            self._show(story.tell())
            if self._is_brief:
                return DONE
            self._open_door(home)
        finally:
            api.hang_up()
        try:
            parts.start_agent()
            self._say("Up. Ctrl-C ends it; run it again to go on from here.")
            parts.attend()
        except KeyboardInterrupt:
            self._say("Ending ...")
        return DONE

    def _open_door(self, home: Home) -> None:
        """Say where the console is. A link is a secret: it goes to whoever looks, and no file."""
        self._say(f"Console   {self._where.console}/")
        if self._printer.err.file.isatty():
            self._say_link(home)
        else:
            self._say(
                "Sign in   with your password; a link is shown on a terminal only, or make one"
            )
            self._say(f"          with {home.path / TOKEN}: {_MAKE_ONE}")
        self._say(f"Authority {home.authority}; a browser that does not know it warns")

    def _say_link(self, home: Home) -> None:
        try:
            issued = door(home)
        except PatchtideError as error:  # whoever has a password needs none, and the site is up
            self._say(f"Sign in   with your password; no link could be made: {error}")
        else:
            self._say(f"Sign in   {self._where.console}{issued.link}")
            self._say(f"          once, within ten minutes, as {issued.name}")

    def _say(self, text: str) -> None:
        self._printer.err.print(Text(text), soft_wrap=True)

    def _show(self, standing: Standing) -> None:
        if self._as_json:
            document = document_of(standing, console=f"{self._where.console}/")
            self._printer.text(msgspec.json.encode(document).decode())
        else:
            show(standing, self._printer.out)


def _told(error: Exception) -> PatchtideError:
    """An error of the system, as one of ours."""
    return NotFinished(str(error))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
