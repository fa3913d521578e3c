"""Defaults, device profiles and example sites; data only."""
