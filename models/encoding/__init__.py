"""A restored picture to the bytes of a file: fast, within a size, and with the recipe it was made by."""

from models.encoding.encoder import encode
from models.encoding.formats import Attempt, Encoded, attempts, fits_some_format, natural_format
from models.encoding.recipes import read_recipe

__all__ = ["Attempt", "Encoded", "attempts", "encode", "fits_some_format", "natural_format", "read_recipe"]
