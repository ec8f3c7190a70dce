"""Sets of machines with a name: what they are made of, and who is in them."""
