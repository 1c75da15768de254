"""The version of Restora, as recipes and files carry it."""

VERSION = "0.1.0"
