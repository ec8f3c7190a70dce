"""`patchtide agent enrol`: the token is read, used and forgotten."""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import patchtide
from patchtide.adapters.agentstate.folder import private_folder
from patchtide.adapters.agentstate.identity import Identity, open_identity, read_machine_id
from patchtide.adapters.agentstate.local import read_local
from patchtide.adapters.platforms.linux import System
from patchtide.adapters.transport.lines import Lines
from patchtide.adapters.transport.link import TlsEnrolment
from patchtide.adapters.transport.site_ca import find_ca, verified_context
from patchtide.adapters.transport.ways import Way
from patchtide.agent import enrolment
from patchtide.domain.errors import PatchtideError
from patchtide.entry.agent.loop import OtherInstance, only_instance
from patchtide.entry.agent.owner import act_as_owner
from patchtide.entry.agent.proxy import way_of


def enrol(asked: argparse.Namespace) -> int:
    try:
        # Before root's rights are given up: the token's file may be root's alone.
        token = enrolment.parse_token(asked.token or _read_token(asked.token_file))
        act_as_owner(asked.state)
        private_folder(asked.state)
        with only_instance(asked.state):
            return _enrol(asked, token)
    except OtherInstance:
        sys.stderr.write(f"an agent is at work on {asked.state}; stop it first\n")
        return 1
    except (PatchtideError, OSError) as error:
        sys.stderr.write(f"not enrolled: {error}\n")
        return 1


def _enrol(asked: argparse.Namespace, token: enrolment.Token) -> int:
    machine_id = read_machine_id(asked.machine_id_file)
    identity = open_identity(asked.state / "identity", machine_id=machine_id)
    way = way_of(asked.state, read_local(asked.config, state=asked.state))
    kept = enrolment.enrol(
        token,
        enrolment.Machine(
            machine_id=machine_id,
            name=asked.name,
            platform=_release(asked.platform),
            agent_version=patchtide.__version__,
            public_key=identity.public_key,
        ),
        url=asked.server.rstrip("/"),
        find_ca=lambda url, digest: find_ca(url, digest, way),
        connect=lambda url, ca: _link(url, ca, identity, way),
    )
    identity.keep(kept)
    waiting = "; an administrator has to approve it" if kept.waiting else ""
    sys.stdout.write(f"enrolled as {UUID(bytes=kept.client)} at {kept.site}{waiting}\n")
    return 0


def _release(platform: str) -> str:
    """Return what the system is called that is meant; a simulated one has no name."""
    kind, _, root = platform.partition(":")
    return "" if kind == "simulated" else System(Path(root or "/")).release()


def _link(url: str, ca: bytes, identity: Identity, way: Way) -> TlsEnrolment:
    key_id = sha256(identity.public_key).hexdigest()
    return TlsEnrolment(url, Lines(verified_context(ca), way), key_id=key_id, sign=identity.sign)


def _read_token(path: str) -> str:
    return sys.stdin.readline() if path == "-" else Path(path).read_text("ascii")
