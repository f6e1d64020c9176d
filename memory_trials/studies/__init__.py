"""Questions, the arms that answer them, and the answers."""
