"""Operations on what holds for the whole site."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import site_agents, site_targets
from patchtide.server.table import API, Operation, Plane

SETTINGS = (
    Operation(
        name="settings.targets",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/settings/targets",
        policy=Right(Kind.CATALOG, Verb.READ),
        sentence="Show how soon how many machines are to have an update, by its risk class there.",
        output=site_targets.TargetList,
        handler=site_targets.show,
        columns=("risk", "percent", "days", "default"),
    ),
    Operation(
        name="settings.set-target",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/settings/targets/{risk}",
        policy=Right(Kind.CATALOG, Verb.ADMINISTER),
        sentence="Set a risk class's target; with nothing else said, that of the beginning.",
        input=site_targets.SetTarget,
        output=site_targets.TargetList,
        handler=site_targets.set_target,
        audited=True,
        columns=("risk", "percent", "days", "default"),
        example="settings set-target emergency --percent 100 --days 2",
    ),
    Operation(
        name="settings.agents",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/settings/agents",
        policy=Right(Kind.CATALOG, Verb.READ),
        sentence="Show how often machines check in and scan, and by which proxy.",
        output=site_agents.ShownAgents,
        handler=site_agents.show,
    ),
    Operation(
        name="settings.set-agents",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/settings/agents",
        policy=Right(Kind.CATALOG, Verb.ADMINISTER),
        sentence="Set how often machines check in and scan; what is not said, as sites begin.",
        input=site_agents.SetAgents,
        output=site_agents.ShownAgents,
        handler=site_agents.set_agents,
        audited=True,
        example="settings set-agents --scan-every-h 24 --cycle patch-tuesday --for-days 5",
    ),
    Operation(
        name="settings.set-agents-proxy",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/settings/agents/proxy",
        policy=Right(Kind.CATALOG, Verb.ADMINISTER),
        sentence="Set the proxy by which machines reach the server; with no address, none.",
        input=site_agents.SetProxy,
        output=site_agents.ShownAgents,
        handler=site_agents.set_proxy,
        audited=True,
        example="settings set-agents-proxy --address http://proxy.example.org:3128",
    ),
)
