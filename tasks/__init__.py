"""The queue: job records and their states, the worker's one task, and the doors results leave by."""
