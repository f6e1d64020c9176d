"""The probe: any cell on many memory tasks, by one fair rule, beside cells whose trials are recorded."""
