"""Pure decisions: facts and `now` go in, values come out. No I/O, clock, chance or logging."""
