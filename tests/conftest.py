"""What every test run has."""

import os
import sys
import threading

import pytest

from tests.hub.postgres import databases, postgres_server

__all__ = ["databases", "postgres_server"]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End a run whose failed test left a store open: the store's thread would keep the process for ever."""
    left = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if left and config.stash.get(STATUS, 0):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])


STATUS = pytest.StashKey[int]()
