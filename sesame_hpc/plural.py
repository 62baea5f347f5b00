"""Numbers of things in messages."""

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """ "1 face", "2,500 faces": `noun` is a singular that takes an s."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
