"""Telegram in, Telegram out. Imports the light half of ``tasks``; never torch, OpenCV or ``models``."""

from bot.lean_models import import_aiogram_lean

import_aiogram_lean()  # before any other module of this package imports aiogram the heavy way
