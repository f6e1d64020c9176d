"""Programs that train a shard of trials, behind one interface: in C for the built-in cells, by XLA for any other."""
