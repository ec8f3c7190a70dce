"""Which updates exist: their identity, their rules as data, and the platforms' version orders."""
