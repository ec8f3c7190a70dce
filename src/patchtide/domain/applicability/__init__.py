"""Does an update apply: rules evaluated against a machine's facts, and why."""
