"""Content by digest: files are known by their SHA-256 only, stored once, verified at hand-over."""
