"""Tests of models/checkpoints."""
