"""Judges what security keys answer."""
