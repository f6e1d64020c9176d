"""What a person calls from a notebook or a script: measure a cell, and check one."""
