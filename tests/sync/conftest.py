"""Servers that the tests of a session share."""

import logging

from tests.sync.rabbit import rabbit

__all__ = ["rabbit"]

logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # as in gateway/logs.py: each failed attempt, with its traceback
