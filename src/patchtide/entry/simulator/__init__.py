"""A fleet of simulated machines against a running server, in virtual time."""
