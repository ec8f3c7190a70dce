"""The process that reads what a crowd reported for a busy server's index."""
