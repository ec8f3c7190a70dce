"""The process that accepts a busy server's connections."""
