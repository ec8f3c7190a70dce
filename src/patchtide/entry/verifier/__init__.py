"""The process in which a busy server has its signatures verified."""
