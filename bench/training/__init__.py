"""Training: one trial from its resolved specification to its record."""
