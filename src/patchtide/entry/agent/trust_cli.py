"""The TUF client under the command line of the TUF conformance suite.

For tests: this is the only entry that speaks plain HTTP, since the suite's server does. What is
downloaded is verified all the same.
"""

from __future__ import annotations

import argparse
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile
from urllib3.connection import HTTPConnection

from patchtide.adapters.transport.https import HttpsGetter
from patchtide.adapters.transport.lines import Lines
from patchtide.adapters.trust.client import TrustClient
from patchtide.adapters.trust.durable import private_folder, write_durably
from patchtide.agent.ports.web import Getter
from patchtide.domain.errors import PatchtideError

OWN_FOLDER = ".patchtide"
MAX_TARGET = 1 << 30


class PlainGetter(HttpsGetter):
    """GETs without TLS."""

    scheme = "http"

    def __init__(self) -> None:
        super().__init__(_PlainLines(ssl.create_default_context()))


class _PlainLines(Lines):
    def _connection(self, host: str, port: int | None) -> HTTPConnection:
        return HTTPConnection(host, port)


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "init":
            _init(asked)
        else:
            _refresh_and_download(asked)
    except (PatchtideError, OSError) as error:
        sys.stderr.write(f"{getattr(error, 'code', 'failed')}: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trust_cli", description=__doc__)
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-dir", type=Path)
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-name", default="")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser


def _init(asked: argparse.Namespace) -> None:
    root = asked.trusted_root.read_bytes()
    own = private_folder(asked.metadata_dir / OWN_FOLDER)
    write_durably(own / "embedded-root", root)
    write_durably(asked.metadata_dir / "root.json", root)


def _refresh_and_download(asked: argparse.Namespace) -> None:
    own = asked.metadata_dir / OWN_FOLDER
    client = TrustClient(
        own,
        (own / "embedded-root").read_bytes(),
        metadata_url=asked.metadata_url,
        targets_url=asked.target_base_url,
        getter=_getter(asked.metadata_url),
        build_time=0.0,
        metadata_folder=asked.metadata_dir,
    )
    try:
        for event in client.refresh(time.time()):
            sys.stderr.write(f"{event.code}: {event.detail}\n")
        if asked.command == "download":
            _download(client, asked.target_name, asked.target_dir)
    finally:
        client.close()


def _download(client: TrustClient, name: str, folder: Path) -> None:
    info = client.find_target(name)
    place = folder / quote(name, "")
    if not _is_there(place, info):
        data = client.read_target(name, MAX_TARGET)
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(place, data)


def _is_there(place: Path, info: TargetFile) -> bool:
    try:
        info.verify_length_and_hashes(place.read_bytes())
    except (OSError, LengthOrHashMismatchError):
        return False
    return True


def _getter(url: str) -> Getter:
    if url.startswith("http://"):
        return PlainGetter()
    return HttpsGetter(Lines(ssl.create_default_context()))


if __name__ == "__main__":
    sys.exit(main())
