"""The console's pages and forms as operations: where they are, and who may open them.

What a form decides is an operation of its own, whose rights are checked again when it is asked.
"""

from __future__ import annotations

from dataclasses import replace

from patchtide.domain.access.principals import Gate, Policy
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server.machine_import import LARGEST
from patchtide.server.table import Operation, Plane


def _page(name: str, path: str, policy: Policy, sentence: str) -> Operation:
    return Operation(
        name=f"console.{name}",
        plane=Plane.CONSOLE,
        method="GET",
        path=path,
        policy=policy,
        sentence=sentence,
    )


def _form(name: str, path: str, policy: Policy, sentence: str) -> Operation:
    return Operation(
        name=f"console.{name}",
        plane=Plane.CONSOLE,
        method="POST",
        path=path,
        policy=policy,
        sentence=sentence,
    )


_MACHINES = Right(Kind.MACHINES, Verb.READ)
_DESCRIBING = Right(Kind.MACHINES, Verb.MODIFY)
_COLLECTIONS = Right(Kind.COLLECTIONS, Verb.READ)
_COLLECTING = Right(Kind.COLLECTIONS, Verb.MODIFY)
_CATALOG = Right(Kind.CATALOG, Verb.READ)
_PUBLISH = Right(Kind.CATALOG, Verb.CREATE)
_ALERTS = Right(Kind.ALERTS, Verb.READ)
_TOKENS = Right(Kind.TOKENS, Verb.READ)
_ENROLLING = Right(Kind.TOKENS, Verb.CREATE)
_PEOPLE = Right(Kind.ACCOUNTS, Verb.READ)

_NARROWED = {
    "machines", "machine-completions", "machine-names", "act", "machine", "explanation",
    "updates", "update",
    "completions", "lists", "list", "reports", "report", "history",
    "targets", "collections", "collection", "calendar", "list-act", "list-choose", "searches",
    "search-new", "search-save", "search-act", "subscriptions", "subscription-new",
    "subscriptions-add", "subscriptions-act",
    "machine-calendar", "window", "window-save", "freeze", "freeze-save", "hours", "hours-save",
}  # fmt: skip
"""Pages for whoever sees some machines only; what a form does is asked of its operation."""
_BY_LISTS = {
    "updates", "update", "completions", "lists", "list", "list-act", "list-choose", "searches",
    "search-new", "search-save", "search-act", "explanation", "machine", "reports", "report",
    "history", "targets", "subscriptions", "subscription-new", "subscriptions-add",
    "subscriptions-act",
}  # fmt: skip
"""Those for whoever may read single lists only."""

_PAGES = (
    _page("sign-in", "/sign-in", Gate.PUBLIC, "The page to sign in on."),
    _page("welcome", "/welcome", Gate.PUBLIC, "The page that a one-time link leads to."),
    _page("enter", "/enter", Gate.PUBLIC, "The page that a link from the server itself leads to."),
    _page("key", "/key", Gate.FIRST_FACTOR, "The page that asks for a security key."),
    _form("key-new", "/account/keys/new", Gate.FIRST_FACTOR, "Ask the browser for a new key."),
    _page("static", "/static/{file}", Gate.PUBLIC, "Style, script and pictures of the console."),
    _page("overview", "/", Gate.SIGNED_IN, "Where the fleet stands, on one page."),
    _page("live", "/live", Gate.SIGNED_IN, "Whether anything has moved since a page was made."),
    _page("machines", "/machines", _MACHINES, "The list of machines."),
    _page(
        "machine-completions",
        "/machine-query-completions",
        _MACHINES,
        "How a query over machines may go on.",
    ),
    _page("machine-names", "/machine-names", _MACHINES, "What machines are called."),
    _form("act", "/machines/act", _MACHINES, "Do one thing to all machines that were chosen."),
    _page("import", "/machine-import", _DESCRIBING, "Import machines as a file."),
    replace(
        _form("import-file", "/machine-import", _DESCRIBING, "Look what it says, or do so."),
        largest_file=LARGEST,
    ),
    _page("machine", "/machines/{machine}", _MACHINES, "One machine."),
    _form("machine-enrolment", "/machines/{machine}/enrolment", _ENROLLING, "Enrol it alone."),
    _page("machine-calendar", "/machines/{machine}/calendar", _COLLECTIONS, "A month of one."),
    _page("explanation", "/machines/{machine}/why/{update}", _MACHINES, "Why it needs an update."),
    _page("whatif", "/whatif", _MACHINES, "Which machines would need an update with these rules."),
    _page("whatif-machine", "/whatif/{machine}", _MACHINES, "Why one would need it, or would not."),
    _page("history", "/history", _MACHINES, "How machines stood day by day."),
    _page("targets", "/targets", _MACHINES, "How updates stand against the targets."),
    _page("updates", "/updates", _CATALOG, "The list of updates."),
    _page("completions", "/query-completions", _CATALOG, "How a query over updates may go on."),
    _page("searches", "/searches", _CATALOG, "The saved searches."),
    _page("search-new", "/new-search", _CATALOG, "Save a search."),
    _form("search-save", "/searches", _CATALOG, "Save it."),
    _form("search-act", "/searches/act", _CATALOG, "Rename, share or delete a saved search."),
    _page("lists", "/lists", _CATALOG, "The update lists."),
    _page("list-new", "/new-list", _CATALOG, "Make a list."),
    _form("list-create", "/lists", _CATALOG, "Make it."),
    _form("list-choose", "/lists/choice", _CATALOG, "Put chosen updates on a list."),
    _page("list", "/lists/{list}", _CATALOG, "One update list."),
    _form("list-act", "/lists/{list}/act", _CATALOG, "Rename or delete it, or take updates off."),
    _page("collections", "/collections", _COLLECTIONS, "The collections of machines."),
    _page("collection-new", "/new-collection", _COLLECTIONS, "Make a collection."),
    _form("collection-create", "/collections", _COLLECTIONS, "Make it."),
    _page("collection-sample", "/collection-sample", _MACHINES, "Who answers to a query now."),
    _page("collection", "/collections/{collection}", _COLLECTIONS, "One collection."),
    _form(
        "collection-act",
        "/collections/{collection}/act",
        _COLLECTIONS,
        "Delete it, or put machines in or take them out.",
    ),
    _page(
        "collection-definition",
        "/collections/{collection}/definition",
        _COLLECTIONS,
        "What it is made of, to be changed.",
    ),
    _form(
        "collection-change", "/collections/{collection}/definition", _COLLECTIONS, "Change that."
    ),
    _page("calendar", "/collections/{collection}/calendar", _COLLECTIONS, "A month of it."),
    _page("window", "/collections/{collection}/window", _COLLECTING, "Add or change a window."),
    _form("window-save", "/collections/{collection}/window", _COLLECTING, "Keep it, or delete it."),
    _page("freeze", "/collections/{collection}/freeze", _COLLECTING, "Freeze it, or change that."),
    _form("freeze-save", "/collections/{collection}/freeze", _COLLECTING, "Freeze, or thaw."),
    _page("hours", "/business-hours", _COLLECTIONS, "When people work, and holidays."),
    _form("hours-save", "/business-hours", _COLLECTING, "Set that, or take it back."),
    _page("reports", "/reports", _MACHINES, "The named reports."),
    _page("report", "/reports/{report}", _MACHINES, "One named report."),
    _page("subscriptions", "/subscriptions", _MACHINES, "Reports that are sent by themselves."),
    _page("subscription-new", "/new-subscription", _MACHINES, "Subscribe to a report."),
    _form("subscriptions-add", "/subscriptions", _MACHINES, "Add or change a subscription."),
    _form("subscriptions-act", "/subscriptions/act", _MACHINES, "Send one now, or remove it."),
    _page("define", "/define", _PUBLISH, "Define a custom update, step by step."),
    _form("define-step", "/define", _PUBLISH, "Go to another step of it."),
    _form("define-file", "/define/file", _PUBLISH, "Take the definition away as a file."),
    _page("update", "/updates/{update}", _CATALOG, "One update."),
    _form("update-rate", "/updates/{update}/rating", _CATALOG, "Say how dangerous one is."),
    _form("update-licence", "/updates/{update}/licence", _CATALOG, "Accept its licence terms."),
    _page("synchronisations", "/synchronisations", _CATALOG, "What became of synchronisations."),
    _form("synchronise", "/synchronisations", _CATALOG, "Begin one."),
    _form("test-feeds", "/synchronisations/test", _CATALOG, "Ask every address of the feeds."),
    _form("reschedule", "/synchronisations/schedule", _CATALOG, "Set when they begin."),
    _form("select", "/synchronisations/selection", _CATALOG, "Choose what is taken of a feed."),
    _page("carried", "/synchronisations/files", _CATALOG, "Catalogs that are carried in files."),
    _form("carried-export", "/synchronisations/files/export", _CATALOG, "Make such a file."),
    _form("carried-trust", "/synchronisations/files/trust", _CATALOG, "Believe a site's files."),
    _form("carried-distrust", "/synchronisations/files/distrust", _CATALOG, "Do so no more."),
    _page("settings", "/settings", _CATALOG, "What holds for the whole site."),
    _form("settings-target", "/settings/target", _CATALOG, "Set the target of a risk class."),
    _form("settings-agents", "/settings/agents", _CATALOG, "Set how often machines scan."),
    _form(
        "settings-collection-agents",
        "/settings/agents/collections",
        _CATALOG,
        "Set how often a collection's machines scan.",
    ),
    _form("settings-health", "/settings/health", _CATALOG, "Set from when on a machine ails."),
    _form("settings-proxy", "/settings/proxy", _CATALOG, "Set the proxy of machines."),
    _page("alerts", "/alerts", _ALERTS, "What is raised, the rules, and what was raised before."),
    _form("alerts-define", "/alerts", _ALERTS, "Define a rule."),
    _form("alerts-act", "/alerts/act", _ALERTS, "Take an alert on, or remove a rule."),
    _page("channels", "/channels", _ALERTS, "By which ways somebody is told, and what is."),
    _form("channels-define", "/channels", _ALERTS, "Define a channel."),
    _form("channels-act", "/channels/act", _ALERTS, "Remove a channel."),
    _form("channels-test", "/channels/test", _ALERTS, "Tell a channel that this is a test."),
    _page("tokens", "/tokens", _TOKENS, "Enrolment tokens, and how a machine enrols."),
    _form("tokens-create", "/tokens", _TOKENS, "Make an enrolment token."),
    _form("tokens-revoke", "/tokens/revoke", _TOKENS, "Make enrolment tokens useless."),
    _page("people", "/people", _PEOPLE, "The people who have an account."),
    _form("people-create", "/people", _PEOPLE, "Add a person."),
    _form(
        "people-act",
        "/people/act",
        _PEOPLE,
        "Renew a link, change roles, disable or enable people.",
    ),
    _form("people-limits", "/people/limits", _PEOPLE, "Set the limits per hour."),
    _form(
        "people-second-factor",
        "/people/second-factor",
        _PEOPLE,
        "Set whether who administers anything needs a security key.",
    ),
    _page("roles", "/roles", _PEOPLE, "The roles, and of what rights each is made."),
    _form("roles-define", "/roles", _PEOPLE, "Make a role, or change one."),
    _form("roles-act", "/roles/remove", _PEOPLE, "Remove a role."),
    _page("proposals", "/proposals", Gate.SIGNED_IN, "What waits for a second person."),
    _form("proposals-act", "/proposals/act", Gate.SIGNED_IN, "Approve, reject, enact a proposal."),
    _form("four-eyes", "/proposals/rule", _PEOPLE, "Set what waits for a second person."),
    _page("proposal", "/proposals/{proposal}", Gate.SIGNED_IN, "One proposal."),
    _page("account", "/account", Gate.SIGNED_IN, "The visitor's own account."),
    _form("account-password", "/account/password", Gate.SIGNED_IN, "Change the own password."),
    _page("audit", "/audit", Right(Kind.AUDIT, Verb.READ), "Who decided what, newest first."),
)

PAGES = tuple(
    replace(page, narrows=name in _NARROWED, narrows_updates=name in _BY_LISTS)
    for page in _PAGES
    for name in [page.name.removeprefix("console.")]
)
