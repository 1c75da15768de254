"""What is fast and what is good, measured against peers, one command each."""
