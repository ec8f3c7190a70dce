"""The agent's memory: journal, shard store and identity, in its state folder."""
