"""The run store: the one door to everything that was measured."""
