"""Numbers as sentences have them: never so long that nobody reads them, never rounded to nothing."""

from __future__ import annotations

LONGEST = 10**15  # written out; beyond, only the magnitude is of any use


def counted(value: int) -> str:
    """Such as 16,000,000, or 9e+198."""
    return f"{value:,}" if value < LONGEST else f"{value:.0e}"


def seconds(value: float) -> str:
    """Such as 1,200, 5.0, 0.2, or 9e-10."""
    if value < 0.05:
        return f"{value:.1g}"
    return f"{value:,.{1 if value < 9.95 else 0}f}" if value < LONGEST else f"{value:.0e}"
