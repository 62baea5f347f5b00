"""The command line of a benchmark."""

import argparse

__all__ = ["script_parser"]


def script_parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m module`, with the module's docstring as its description."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
