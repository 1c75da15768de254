"""Tests of what developers use."""
