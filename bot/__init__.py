"""Telegram in, Telegram out. Imports the light half of ``tasks``; never torch, OpenCV or ``models``."""
