"""Patchtide: software update management for whole fleets.

The folders are the layers: entry > adapters > server | agent > wire > domain.
"""

__version__ = "0.1.0"
