"""What agents and servers say to each other: versioned types with golden files. Pure.

Readers accept fields they do not know. A released version stays readable for two further
minor versions (docs/dev/compatibility.md).
"""
