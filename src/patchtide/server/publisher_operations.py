"""Operations by which custom updates are published; one command goes through all of them."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import publishing
from patchtide.server.table import API, Operation, Plane

_PUBLISH = Right(Kind.CATALOG, Verb.CREATE)
_COMMAND = "publisher publish"

PUBLISHER = (
    Operation(
        name="publisher.file",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/publisher/files/{sha256}",
        policy=_PUBLISH,
        sentence="Say how much of a file is on the server.",
        input=publishing.ShowFile,
        output=publishing.ShownFile,
        handler=publishing.show_file,
        step_of=_COMMAND,
    ),
    Operation(
        name="publisher.upload",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/publisher/files/{sha256}",
        policy=_PUBLISH,
        sentence="Bring a file, or go on where an earlier attempt ended.",
        input=publishing.UploadFile,
        output=publishing.ShownFile,
        handler=publishing.upload,
        takes_file=True,
        step_of=_COMMAND,
    ),
    Operation(
        name="publisher.draft",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/publisher/drafts",
        policy=_PUBLISH,
        sentence="Make custom updates ready to be signed; nothing of them is in force by that.",
        input=publishing.MakeDraft,
        output=publishing.ShownDraft,
        handler=publishing.draft,
        audited=True,
        step_of=_COMMAND,
    ),
    Operation(
        name="publisher.sign",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/publisher/drafts/{draft}/signatures",
        policy=_PUBLISH,
        sentence="Sign a draft; once enough have signed, it is in force.",
        input=publishing.SignDraft,
        output=publishing.ShownSignatures,
        handler=publishing.sign,
        audited=True,
        step_of=_COMMAND,
    ),
)
