"""Tests that need a program from outside say which package brings it."""

import os
import shutil
from typing import NoReturn

import pytest


def needs(program: str, package: str) -> None:
    """Skip the calling test where `program` is missing; under CI that is a failure."""
    if not shutil.which(program):
        lacks(program, package)


def lacks(what: str, package: str) -> NoReturn:
    """Skip the calling test for want of `what`; under CI fail it."""
    reason = f"{what} is missing; the package {package} brings it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
