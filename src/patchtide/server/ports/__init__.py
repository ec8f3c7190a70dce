"""What the server needs from outside, each a small Protocol beside its callers."""
