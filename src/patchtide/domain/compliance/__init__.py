"""How machines stand on updates: one machine's states, and the index over all of them."""
