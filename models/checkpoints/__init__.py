"""Checkpoint files of any origin to networks, without running what is in them."""
