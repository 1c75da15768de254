"""Tests of models/archs."""
