"""Trials, trained in shards: in threads or on a cluster, kept in a cache, each to the same bytes."""
