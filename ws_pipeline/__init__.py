"""Weak supervision as a Dagster project."""
