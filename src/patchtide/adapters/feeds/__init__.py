"""Feeds: what vendors say of their updates, read into the catalog's own words."""
