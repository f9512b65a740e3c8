"""How good predictions are; numpy alone."""
