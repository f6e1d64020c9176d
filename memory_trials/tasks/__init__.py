"""What must be remembered, and the table of updates that an epoch consists of."""
