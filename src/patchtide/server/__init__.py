"""The server's use cases: one module a thing an administrator or an agent can ask for."""
