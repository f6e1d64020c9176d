"""Checks of recorded results: complete, up to date, good enough, and the same when trained again."""
