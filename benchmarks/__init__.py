"""Benchmarks: one module a subject. They inform and never fail a build."""
