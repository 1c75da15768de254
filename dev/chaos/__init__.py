"""The chaos bench: the whole of Restora under load, while things are broken at random points drawn from a seed.

``python -m dev.chaos`` (``make chaos``) starts a real Redis, the real bot and several real workers in front of the
emulated Telegram, lets many people send pictures, and breaks processes, connections and Telegram's answers while they
do. At the end every picture is accounted for, from what the emulator saw and what the job store says.
docs/reliability.md says what is promised and what was measured.
"""
