"""A restored picture to the bytes of a file."""

from models.encoding.writing import Attempt, Encoded, attempts, encode, natural_format

__all__ = ["Attempt", "Encoded", "attempts", "encode", "natural_format"]
