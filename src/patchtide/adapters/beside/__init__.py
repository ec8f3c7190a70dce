"""Processes that work beside a busy server: how they are asked."""
