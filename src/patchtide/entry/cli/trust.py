"""`patchtide trust`: the keys that vouch for what machines install, and who must sign.

These commands ask no server: they work on the files of its home folder, with the server running
or not, and on key files wherever they lie. What they change, a running server notices by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from patchtide.adapters.trust.drafts import NotSigned, read_draft, sign_draft
from patchtide.adapters.trust.durable import private_folder, write_durably
from patchtide.adapters.trust.inspection import ROLES, RoleStatus
from patchtide.adapters.trust.keys import (
    KeyFolder,
    KeysElsewhere,
    make_key_file,
    raw_public_key,
    read_key_file,
)
from patchtide.adapters.trust.layout import SNAPSHOT, TIMESTAMP, Signable
from patchtide.adapters.trust.proofreading import check_shape, differences, shape_flaw
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.domain.errors import InvalidDocument, Problem, Refused
from patchtide.entry.cli.offline import Document, NoRepository, offline_command
from patchtide.entry.cli.options import option
from patchtide.entry.cli.printing import Printer

HELP = "Keys that vouch for what machines install, and who must sign; on the server's own files."
_HIGHEST = 1 << 31

Role = Literal["root", "targets", "snapshot", "timestamp", "feeds", "publisher", "agent"]


Home = Annotated[
    Path, Parameter(help="Home folder of the server.", env_var="PATCHTIDE_SERVER_HOME")
]
OfRole = Annotated[Role, option("Which role.")]
OfRoles = Annotated[tuple[Role, ...], option("Which role or roles.")]
Drafts = Annotated[tuple[Path, ...], option("Drafts, each named <role>.json.")]
Keys = Annotated[tuple[str, ...], option("Public key to add, 64 hex digits.")]
Threshold = Annotated[
    int | None, option("How many of the role's keys must sign; as now if not given.")
]
Replace = Annotated[bool, option("The keys that the role has now count no more.")]
MakeKey = Annotated[bool, option("Make one more key, which lies on this server.")]
SignWith = Annotated[tuple[Path, ...], option("Key file to sign with, beside the keys here.")]
_DEFAULT_HOME = Path("var/patchtide")


def status(*, home: Home = _DEFAULT_HOME) -> Document:
    """Say how every role stands: version, end of life, keys, and what should be done."""
    repository = _repository(home)
    rows = [_row(role) for role in repository.status(_now())]
    unused = [f"{role}.{key}" for role, key in repository.unused_keys()]
    first_root = sha256(repository.first_root()).hexdigest()
    return {"items": rows, "unused_keys": unused, "first_root": first_root}


def key(file: Annotated[Path, option("Where the private key goes.")]) -> Document:
    """Make a key on this machine and print its public half. No server is needed."""
    signer = make_key_file(file)
    return {
        "file": str(file),
        "key": raw_public_key(signer).hex(),
        "key_id": signer.public_key.keyid,
    }


def raise_(
    role: OfRole,
    *,
    home: Home = _DEFAULT_HOME,
    key: Keys = (),
    threshold: Threshold = None,
    replace: Replace = False,
    make_key: MakeKey = False,
    sign_with: SignWith = (),
) -> Document:
    """Add keys to a role, or have more of them sign, where all that must sign is at hand."""
    repository = _repository(home)
    before = _standing(repository, role)
    wanted = before.threshold if threshold is None else threshold
    if wanted < before.threshold:
        raise Refused(
            f"{wanted} is less than the {before.threshold} signatures that {role} needs now;"
            " make a draft if that is meant"
        )
    drafts = _threshold_drafts(
        repository, role, key, threshold=wanted, keep=not replace, make_key=make_key
    )
    return _signed_and_adopted(repository, drafts, sign_with)


def draft(
    role: OfRoles,
    *,
    out: Annotated[Path, option("Folder for the drafts; made 0700.")],
    home: Home = _DEFAULT_HOME,
    key: Keys = (),
    threshold: Threshold = None,
    replace: Replace = False,
    make_key: MakeKey = False,
) -> Document:
    """Write what must be signed elsewhere: other keys for one role, or else longer life."""
    repository = _repository(home)
    if not (key or threshold is not None or replace or make_key):
        drafts = repository.draft_renewal(role, _now())
    elif len(role) == 1:
        wanted = _standing(repository, role[0]).threshold if threshold is None else threshold
        drafts = _threshold_drafts(
            repository, role[0], key, threshold=wanted, keep=not replace, make_key=make_key
        )
    else:
        raise InvalidDocument([Problem("role", "keys and thresholds change one role at a time")])
    private_folder(out)
    written = []
    for name, data in repository.signed_here(drafts).items():
        write_durably(out / f"{name}.json", data)
        written.append(_described(name, read_draft(data), out / f"{name}.json"))
    return {"items": written}


def show(
    file: Drafts,
    *,
    against: Annotated[
        Path | None,
        option("What is in force, a published <version>.<role>.json: say what changes."),
    ] = None,
) -> Document:
    """Say all that drafts would put in force. Look before you sign. No server is needed."""
    drafts = {path: read_draft(path.read_bytes()) for path in file}
    if against is not None and len(file) != 1:
        raise InvalidDocument([Problem("against", "is compared with one draft at a time")])
    before = read_draft(against.read_bytes()) if against else None
    rows = [
        {"draft": path.stem, "change": change, "of": said.of, "says": said.what}
        for path, metadata in drafts.items()
        for change, said in differences(before, metadata)
    ]
    return {"items": rows, "drafts": [_line(path, x) for path, x in drafts.items()]}


def sign(
    file: Drafts, *, sign_with: Annotated[tuple[Path, ...], option("Key file to sign with.")]
) -> Document:
    """Sign drafts with keys of this machine. No server is needed."""
    signers = [read_key_file(path) for path in sign_with]
    _require_roles(file)
    drafts = {path: path.read_bytes() for path in file}
    for path, data in drafts.items():
        check_shape(path.stem, read_draft(data))
    for path, data in drafts.items():
        write_durably(path, sign_draft(data, signers))
    return {"items": [_described(p.stem, read_draft(p.read_bytes()), p) for p in file]}


def adopt(file: Drafts, *, home: Home = _DEFAULT_HOME) -> Document:
    """Put signed drafts in force, all at once, if they are signed as required."""
    repository = _repository(home)
    _require_roles(file)
    signed = {path.stem: path.read_bytes() for path in file}
    repository.accept(signed, _now())
    return _in_force(repository, signed)


def renew(
    role: OfRoles,
    *,
    home: Home = _DEFAULT_HOME,
    sign_with: SignWith = (),
) -> Document:
    """Sign roles anew for another term of life, where all that must sign is at hand."""
    repository = _repository(home)
    if online := {SNAPSHOT, TIMESTAMP}.intersection(role):
        repository.refresh_timestamp(_now(), snapshot=SNAPSHOT in online)
    if others := [name for name in role if name not in online]:
        _signed_and_adopted(repository, repository.draft_renewal(others, _now()), sign_with)
    return _in_force(repository, role)


def floor(
    role: OfRole,
    version: Annotated[int, option("The highest version that a machine has seen.")],
    *,
    home: Home = _DEFAULT_HOME,
) -> Document:
    """After a restore: never again publish this version or a lower one. It cannot be undone."""
    if not 0 < version < _HIGHEST:
        raise InvalidDocument([Problem("version", f"must be 1 to {_HIGHEST - 1}")])
    repository = _repository(home)
    repository.raise_version_floor(role, version)
    repository.refresh_timestamp(_now())
    return _in_force(repository, [role])


def forget(
    key: Annotated[tuple[str, ...], option("Unused keys, as `trust status` names them.")],
    *,
    home: Home = _DEFAULT_HOME,
) -> Document:
    """Remove private keys that sign nothing (any more) from this server. It cannot be undone."""
    repository = _repository(home)
    unused = {f"{role}.{key_id}": (role, key_id) for role, key_id in repository.unused_keys()}
    if counting := [name for name in key if name not in unused]:
        raise Refused(f"no unused key here: {', '.join(counting)}")
    for name in dict.fromkeys(key):
        _keys(home).remove(*unused[name])
    return {"forgotten": list(dict.fromkeys(key))}


COMMANDS: Mapping[str, tuple[Callable[..., Document], str]] = {
    "status": (status, "status --home /srv/patchtide"),
    "key": (key, "key anna.pem"),
    "raise": (raise_, f"raise publisher --key {'3b' * 32} --key {'c0' * 32} --threshold 2"),
    "draft": (draft, f"draft publisher --out drafts --key {'3b' * 32} --replace"),
    "show": (show, "show drafts/targets.json"),
    "sign": (sign, "sign drafts/targets.json --sign-with anna.pem"),
    "adopt": (adopt, "adopt drafts/targets.json drafts/publisher.json"),
    "renew": (renew, "renew targets --sign-with anna.pem"),
    "floor": (floor, "floor timestamp 412"),
    "forget": (forget, f"forget publisher.{'9f' * 32}"),
}


def trust_app(printer: Printer) -> App:
    app = App(name="trust", help=HELP, help_epilogue="", version_flags=[])
    for name, (work, example) in COMMANDS.items():
        app.command(
            offline_command(work, printer),
            name=name,
            help_epilogue=f"Example: patchtide trust {example}",
        )
    return app


def _repository(home: Path) -> TrustRepository:
    published = home / "published"
    if not (published / "metadata/timestamp.json").exists():
        raise NoRepository(f"there is no signed repository in {home}; say the server's --home")
    owner = home.stat().st_uid
    if os.geteuid() != owner:
        # As root it would work, and leave files that the server cannot read.
        raise Refused(f"{home} belongs to user {owner}; run this as that user")
    return TrustRepository(published, _keys(home))


def _keys(home: Path) -> KeyFolder:
    return KeyFolder(home / "keys" / "trust")


def _now() -> datetime:
    return datetime.now(UTC)


def _standing(repository: TrustRepository, role: str) -> RoleStatus:
    return next(x for x in repository.status(_now()) if x.role == role)


def _threshold_drafts(
    repository: TrustRepository,
    role: str,
    keys: Sequence[str],
    *,
    threshold: int,
    keep: bool,
    make_key: bool,
) -> dict[str, bytes]:
    raw = [_raw_key(text) for text in keys]
    if not keep and not raw and not make_key:
        raise InvalidDocument([Problem("replace", "needs the keys that come instead")])
    if make_key:
        raw.append(repository.make_key(role))
    return repository.draft_threshold(role, raw, threshold, _now(), keep=keep)


def _raw_key(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise InvalidDocument([Problem("key", f"{text!r} is no public key: 64 hex digits")])
    return raw


def _signed_and_adopted(
    repository: TrustRepository, drafts: Mapping[str, bytes], sign_with: Sequence[Path]
) -> Document:
    signers = [read_key_file(path) for path in sign_with]
    try:
        repository.accept(repository.signed_here(drafts, signers), _now())
    except (NotSigned, KeysElsewhere) as error:
        hint = "give more keys by --sign-with, or have it signed elsewhere: patchtide trust draft"
        raise NotSigned(f"{error}; {hint}") from error
    return _in_force(repository, drafts)


def _in_force(repository: TrustRepository, roles: Sequence[str] | Mapping[str, Any]) -> Document:
    return {"items": [_row(x) for x in repository.status(_now()) if x.role in roles]}


def _row(status: RoleStatus) -> Document:
    return {
        "role": status.role,
        "version": status.version,
        "expires": f"{status.expires:%Y-%m-%d}",
        "signatures": f"{status.threshold} of {status.keys}",
        "keys_here": status.keys_here,
        "warnings": list(status.warnings),
    }


def _require_roles(files: Sequence[Path]) -> None:
    if strange := [path for path in files if path.stem not in ROLES]:
        raise InvalidDocument([Problem(str(p), "is not named for a role") for p in strange])


def _described(role: str, metadata: Signable, path: Path) -> Document:
    signed = metadata.signed
    return {
        "file": str(path),
        "role": role,
        "kind": signed.type,
        "version": signed.version,
        "expires": f"{signed.expires:%Y-%m-%d}",
        "signed_by": sorted(metadata.signatures),
    }


def _line(path: Path, metadata: Signable) -> str:
    signed = metadata.signed
    flaw = shape_flaw(path.stem, metadata)
    signatures = ", ".join(sorted(metadata.signatures)) or "nobody"
    return (
        f"{path}: {signed.type}, version {signed.version}, until {signed.expires:%Y-%m-%d},"
        f" signed by {signatures}{f'; DO NOT SIGN: {flaw}' if flaw else ''}"
    )
