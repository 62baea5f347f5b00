"""Landmark schemes as data: points, regions, mirror, normaliser and edges. Imports no torch."""

from sesame_hpc.schemes.files import builtin_schemes, load_scheme
from sesame_hpc.schemes.scheme import Scheme

__all__ = ["Scheme", "builtin_schemes", "load_scheme"]
