"""Tests of the package ``models.planning``."""
