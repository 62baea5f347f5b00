"""Fixtures of the crash suite: rendered faces, and a tiny run that is finished."""

from run_fixtures import *  # noqa: F403
