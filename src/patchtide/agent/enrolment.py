"""How a machine gets its identity: one token, a key made here, and the site's CA by its hash.

The token is used and forgotten; what is kept is the key, the site's CA and what the server
answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from msgspec import Struct

from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.wire.messages import EnrolledV1, EnrolV1

_TOKEN = re.compile(r"(pt1\.[0-9a-z]{1,32}\.[0-9A-Za-z_-]{16,128})\.([0-9a-f]{64})")


class EnrolmentFailed(PatchtideError):
    """The machine could not be enrolled."""

    code = "enrolment-failed"


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    ca_sha256: bytes


class Enrolment(Struct, frozen=True, kw_only=True):
    """What is kept of an enrolment; nothing in it is secret but the server's address."""

    url: str
    ca: bytes
    """The site CA's certificate, DER."""
    client: bytes
    site: str
    root: bytes
    answer_key: bytes
    waiting: bool = False


class EnrolmentLink(Protocol):
    def enrol(self, asked: EnrolV1) -> EnrolledV1:
        """Ask for an identity, signed by the machine's key.

        Raises:
            EnrolmentFailed: the server refused or cannot be reached.
        """
        ...


def parse_token(text: str) -> Token:
    """Return the parts of an enrolment token.

    Raises:
        InvalidDocument: the text is no token.
    """
    match = _TOKEN.fullmatch(text.strip())
    if match is None:
        raise InvalidDocument([Problem("token", "is not of the form pt1.<id>.<secret>.<hash>")])
    return Token(match[0], bytes.fromhex(match[2]))


def machine_hash(machine_id: str, *, ca_sha256: bytes) -> bytes:
    """Return what tells the server that it is the same machine, without telling its id.

    The site's CA goes in, so that two sites cannot compare notes.
    """
    return sha256(b"patchtide-machine-1\0" + ca_sha256 + machine_id.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine tells of itself when it enrols."""

    machine_id: str
    name: str
    platform: str
    agent_version: str
    public_key: bytes


def enrol(
    token: Token,
    machine: Machine,
    *,
    url: str,
    find_ca: Callable[[str, bytes], bytes],
    connect: Callable[[str, bytes], EnrolmentLink],
) -> Enrolment:
    """Return the enrolment; nothing is sent before the site's CA was found by its hash.

    Raises:
        EnrolmentFailed: no such CA there, or the server refused.
    """
    ca = find_ca(url, token.ca_sha256)
    answer = connect(url, ca).enrol(
        EnrolV1(
            token=token.text,
            public_key=machine.public_key,
            machine=machine_hash(machine.machine_id, ca_sha256=token.ca_sha256),
            name=machine.name,
            agent_version=machine.agent_version,
            platform=machine.platform,
        )
    )
    return Enrolment(
        url=url,
        ca=ca,
        client=answer.client,
        site=answer.site,
        root=answer.root,
        answer_key=answer.answer_key,
        waiting=answer.waiting,
    )
