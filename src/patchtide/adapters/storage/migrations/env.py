"""Alembic's environment is built in migrate.py; run from there, never by alembic's own command."""
