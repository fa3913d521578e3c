"""An earlier release of Holdfast, as files beside the present one."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.e2e.parts import ROOT

BEFORE_SYNC = "1a9c3fb"  # knows neither ledger, heartbeat, commands nor AMQP; its buffer has schema 3


def unpacked(commit: str, folder: Path) -> Path:
    """The folder with the release's code, for PYTHONPATH. Skips the test where the history is not here."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=False, capture_output=True)
    if archive.returncode:
        pytest.skip(f"the history with {commit} is not here")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder
