"""What the bot does with each kind of update."""

from aiogram import Router

from bot.handlers import buttons, commands, pictures, privacy, reopening


def all_routers() -> list[Router]:
    """The routers in the order in which they are asked: pictures last, since they also refuse everything else."""
    return [commands.router(), privacy.router(), buttons.router(), reopening.router(), pictures.router()]


__all__ = ["all_routers"]
