"""The commands of `memory-trials`, in modules by what they are for; cli.py collects them."""
