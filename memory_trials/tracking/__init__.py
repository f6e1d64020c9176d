"""Runs in MLflow, a view of the files. No result depends on it."""
