"""The best trial, which predicts: from files, in MLflow's registry, over HTTP."""
