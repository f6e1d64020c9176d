"""One interface, two programs that train a shard of trials: C for the built-in cells, XLA for any other."""
