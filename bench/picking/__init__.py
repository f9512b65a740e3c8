"""Picking a backbone for one's own images within a budget: a race on frozen features, then a suite."""
