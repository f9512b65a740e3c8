"""Measurements: accuracy of predictions, and what a network costs."""
