"""Text that any terminal takes."""

__all__ = ["printable"]


def printable(text: object) -> str:
    """The text with the bytes of file names that are not UTF-8 as `\\xe9`."""
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
