"""All tables there are, whichever module declares them."""

from __future__ import annotations

from patchtide.adapters.storage import (
    account_tables,
    attribute_tables,
    calendar_tables,
    catalog_tables,
    collection_tables,
    fact_tables,
    history_tables,
    key_tables,
    proposal_tables,
    tables,
)

DECLARING = (
    tables,
    account_tables,
    catalog_tables,
    history_tables,
    attribute_tables,
    collection_tables,
    calendar_tables,
    fact_tables,
    proposal_tables,
    key_tables,
)
"""A module that is not named here is not loaded where tables are made, and so has none."""
metadata = tables.metadata
