"""What is fast and what is good, measured against peers, one command each."""

from models.cli.threads import sleep_while_waiting

sleep_while_waiting()  # before torch is imported, for every way that is measured alike
