"""What a managed machine does: the use cases of the agent, over ports that it owns."""
