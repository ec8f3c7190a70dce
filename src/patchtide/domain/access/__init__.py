"""Who may do what: rights, ready roles, principals, and the texts of credentials. Pure."""
