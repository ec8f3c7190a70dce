"""What use cases have of catalogs in files: those that leave this site, and those that arrive."""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.server.catalog_export import CatalogExports
from patchtide.server.catalog_import import CatalogImports


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogExchange:
    exports: CatalogExports
    imports: CatalogImports
