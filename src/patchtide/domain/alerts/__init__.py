"""When somebody is to be told that something is wrong, and that it is not any more. Pure."""
