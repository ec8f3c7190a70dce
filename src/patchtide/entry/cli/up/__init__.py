"""`patchtide up`: a whole site on this machine in one command, with this machine in it."""
