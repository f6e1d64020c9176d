"""Endless tasks, a module each, which keeps to `tasks.interface.Rule` and is named in `tasks.streams.RULES`."""
