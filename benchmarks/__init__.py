"""Measurements side by side; each prints a table and can write JSON."""
