"""Tests of models/faces."""
