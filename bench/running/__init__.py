"""Doing what is planned."""
