"""What is fast and what is good, measured against peers, one command each."""

from models.cli.process import prepare_process

prepare_process()  # before torch is imported, for every way that is measured alike
