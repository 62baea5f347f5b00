"""Fixtures of the run folder's tests: rendered faces, and a tiny run that is finished."""

from run_fixtures import *  # noqa: F403
