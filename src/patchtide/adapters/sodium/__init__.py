"""Signatures by libsodium: for the server, which verifies thousands a second."""
