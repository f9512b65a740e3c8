"""The tables of a run store."""
