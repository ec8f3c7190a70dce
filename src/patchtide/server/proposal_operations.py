"""Operations on proposals: what waits for a second person."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from patchtide.domain.access.principals import Gate
from patchtide.server import proposals, shown_proposals
from patchtide.server.table import API, Operation, Plane

_ONE = API + "/proposals/{proposal}"
_EXAMPLE = "0f1e2d3c4b5a"


def proposal_operations(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return what is done with proposals of those among these that a second person agrees to."""
    covered = {one.name: one for one in operations if one.four_eyes is not None}
    return (
        Operation(
            name="proposals.list",
            plane=Plane.ADMINISTRATORS,
            method="GET",
            path=API + "/proposals",
            policy=Gate.SIGNED_IN,
            sentence="List the proposals that are your own, or that you could approve.",
            input=shown_proposals.ListProposals,
            output=shown_proposals.ProposalList,
            handler=partial(shown_proposals.list_some, covered),
            columns=("id", "operation", "author_name", "state", "waits", "expires_at"),
            example="proposals list --all",
        ),
        Operation(
            name="proposals.show",
            plane=Plane.ADMINISTRATORS,
            method="GET",
            path=_ONE,
            policy=Gate.SIGNED_IN,
            sentence="Show what a proposal would do, and who has approved it.",
            input=shown_proposals.OneProposal,
            output=shown_proposals.ShownProposal,
            handler=partial(shown_proposals.show, covered),
            example=f"proposals show {_EXAMPLE}",
        ),
        Operation(
            name="proposals.input",
            plane=Plane.ADMINISTRATORS,
            method="GET",
            path=_ONE + "/input",
            policy=Gate.SIGNED_IN,
            sentence="Give the whole input of a proposal that waits, as JSON.",
            input=shown_proposals.OneProposal,
            handler=partial(shown_proposals.whole_input, covered),
            example=f"proposals input {_EXAMPLE} --json",
        ),
        Operation(
            name="proposals.approve",
            plane=Plane.ADMINISTRATORS,
            method="POST",
            path=_ONE + "/approve",
            policy=Gate.SIGNED_IN,
            sentence="Agree to what somebody else proposed.",
            input=proposals.ApproveProposal,
            output=shown_proposals.ShownProposal,
            handler=partial(proposals.approve, covered),
            audited=True,
            only_people=True,
            example=f"proposals approve {_EXAMPLE}",
        ),
        Operation(
            name="proposals.reject",
            plane=Plane.ADMINISTRATORS,
            method="POST",
            path=_ONE + "/reject",
            policy=Gate.SIGNED_IN,
            sentence="End what somebody else proposed.",
            input=shown_proposals.OneProposal,
            handler=partial(proposals.reject, covered),
            status=204,
            audited=True,
            example=f"proposals reject {_EXAMPLE}",
        ),
        Operation(
            name="proposals.withdraw",
            plane=Plane.ADMINISTRATORS,
            method="POST",
            path=_ONE + "/withdraw",
            policy=Gate.SIGNED_IN,
            sentence="End what you proposed yourself.",
            input=shown_proposals.OneProposal,
            handler=partial(proposals.withdraw, covered),
            status=204,
            audited=True,
            example=f"proposals withdraw {_EXAMPLE}",
        ),
        Operation(
            name="proposals.enact",
            plane=Plane.ADMINISTRATORS,
            method="POST",
            path=_ONE + "/enact",
            policy=Gate.SIGNED_IN,
            sentence="Have done what you proposed, once others agreed.",
            input=shown_proposals.OneProposal,
            output=proposals.Enacted,
            handler=partial(proposals.enact, covered),
            audited=True,
            example=f"proposals enact {_EXAMPLE}",
        ),
    )
