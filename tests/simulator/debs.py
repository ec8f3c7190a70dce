"""Debian packages without any tool: just enough of one to be known by name."""

from __future__ import annotations

import gzip
import io
import tarfile


def a_deb(name: str = "hello", version: str = "2.10-3", architecture: str = "amd64") -> bytes:
    lines = [f"Package: {name}", f"Version: {version}", f"Architecture: {architecture}"]
    lines += ["Maintainer: Toys <toys@invalid>", "Description: for tests"]
    control = gzip.compress(_tar("./control", "\n".join(lines).encode() + b"\n"), mtime=0)
    members = [("debian-binary", b"2.0\n"), ("control.tar.gz", control), ("data.tar", _tar())]
    return b"!<arch>\n" + b"".join(_member(name, data) for name, data in members)


def _tar(name: str = "", content: bytes = b"") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        if name:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _member(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return head.encode() + data + b"\n" * (len(data) % 2)
