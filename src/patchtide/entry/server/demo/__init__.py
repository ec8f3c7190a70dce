"""`patchtide demo`: a site with a simulated fleet that a person can click through.

Everything in it follows from numbers, so that pictures, tests and measurements are the same every
time. Machines report through the server's own storage: no agent runs.
"""
