"""What trained trials predict, whether they have learned, and how often."""
