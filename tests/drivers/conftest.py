"""Peers that are not ours."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import lacks, needs


@pytest.fixture(scope="session")
def libmodbus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Modbus server on libmodbus whose registers hold their own address; see its source for its arguments."""
    needs("gcc", "gcc")
    needs("pkg-config", "pkg-config")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        lacks("libmodbus", "libmodbus-dev")
    program = tmp_path_factory.mktemp("peer") / "modbus_peer"
    source = Path(__file__).parents[1] / "peers" / "modbus_peer.c"
    subprocess.run([shutil.which("gcc") or "gcc", "-O1", "-o", program, source, *flags.stdout.split()], check=True)
    return program
