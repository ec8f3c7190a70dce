"""The process that takes a busy server's reports into its database."""
