"""Endless tasks, a module each, which keeps to `tasks.interface.Rule` and has the name that settings give the task."""
