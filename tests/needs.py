"""Tests that need a program from outside say which package brings it."""

import os
import shutil

import pytest


def needs(program: str, package: str) -> None:
    """Skip the calling test where `program` is missing; under CI that is a failure."""
    if shutil.which(program):
        return
    reason = f"{program} is missing; the package {package} brings it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
