"""The machines an agent can run on, and the one way to run their tools."""
