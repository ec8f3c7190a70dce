"""The database behind the ports: SQLite or PostgreSQL by URL. SQL lives here and nowhere else."""

from patchtide.adapters.storage.storage import Storage

__all__ = ["Storage"]
