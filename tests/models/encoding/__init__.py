"""Tests of models/encoding."""
