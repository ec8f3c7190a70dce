"""Operations that carry a catalog in a file to a site without a line, and believe one there."""

from __future__ import annotations

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server import catalog_exchange
from patchtide.server.synchronisations import ShownSynchronisation
from patchtide.server.table import API, Operation, Plane

_MODIFY = Right(Kind.CATALOG, Verb.MODIFY)
_SITE = Right(Kind.SITE, Verb.ADMINISTER)
_NAME = "5d" * 32

EXCHANGE = (
    Operation(
        name="catalog.make-export",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/catalog/exports",
        policy=_MODIFY,
        sentence="Make a signed file of the whole catalog, to be fetched in pieces.",
        input=catalog_exchange.MakeExport,
        output=catalog_exchange.ShownExport,
        handler=catalog_exchange.make_export,
        status=201,
        audited=True,
        step_of="catalog export",
    ),
    Operation(
        name="catalog.export-piece",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/catalog/exports/{export}",
        policy=_MODIFY,
        sentence="Fetch a piece of the last export; `catalog export` fetches them all.",
        input=catalog_exchange.FetchPiece,
        output=catalog_exchange.ShownPiece,
        handler=catalog_exchange.export_piece,
        step_of="catalog export",
    ),
    Operation(
        name="catalog.import-piece",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/catalog/imports/{export}",
        policy=_MODIFY,
        sentence="Send a piece of another site's catalog; `catalog import` sends them all.",
        input=catalog_exchange.SendPiece,
        output=catalog_exchange.ShownReceived,
        handler=catalog_exchange.import_piece,
        part_of="catalog.take-in",
        step_of="catalog import",
    ),
    Operation(
        name="catalog.take-in",
        plane=Plane.ADMINISTRATORS,
        method="POST",
        path=API + "/catalog/imports",
        policy=_MODIFY,
        sentence="Verify a catalog that was sent whole, and synchronise with it.",
        input=catalog_exchange.TakeIn,
        output=ShownSynchronisation,
        handler=catalog_exchange.take_in,
        status=202,
        audited=True,
        watch="catalog.synchronisations",
        step_of="catalog import",
    ),
    Operation(
        name="catalog.exporters",
        plane=Plane.ADMINISTRATORS,
        method="GET",
        path=API + "/catalog/exporters",
        policy=Right(Kind.CATALOG, Verb.READ),
        sentence="List the sites whose exported catalogs are believed here.",
        output=catalog_exchange.ExporterList,
        handler=catalog_exchange.exporters,
        columns=("name", "site", "made_at", "root"),
    ),
    Operation(
        name="catalog.trust-exporter",
        plane=Plane.ADMINISTRATORS,
        method="PUT",
        path=API + "/catalog/exporters/{name}",
        policy=_SITE,
        sentence="Believe the exported catalogs of a site, known by its root.",
        input=catalog_exchange.TrustExporter,
        output=catalog_exchange.ShownExporter,
        handler=catalog_exchange.trust_exporter,
        audited=True,
        example=f"catalog trust-exporter hq {_NAME}",
    ),
    Operation(
        name="catalog.distrust-exporter",
        plane=Plane.ADMINISTRATORS,
        method="DELETE",
        path=API + "/catalog/exporters/{name}",
        policy=_SITE,
        sentence="Believe a site's exported catalogs no more; what they brought stays.",
        input=catalog_exchange.DistrustExporter,
        handler=catalog_exchange.distrust_exporter,
        status=204,
        audited=True,
        example="catalog distrust-exporter hq",
    ),
)
