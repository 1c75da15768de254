"""Training, with tiny networks and made-up pictures."""
