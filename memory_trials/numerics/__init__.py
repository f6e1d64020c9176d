"""Functions, sums and random numbers whose bits are the same on every machine."""
