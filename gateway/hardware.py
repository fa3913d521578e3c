"""What this machine is, as the hub keeps it of a gateway: empty where it does not say."""

from pathlib import Path

from gateway.core.errors import ConfigError

SERIALS = (
    "proc/device-tree/serial-number",  # of a Raspberry Pi and its like
    "sys/class/dmi/id/product_serial",  # of a PC; for root only
    "sys/class/dmi/id/board_serial",
)
SSH_KEY = "etc/ssh/ssh_host_ed25519_key.pub"
SAID_MAX = 128


def serial(root: Path = Path("/")) -> str:
    """The machine's serial number."""
    return next((text for name in SERIALS if (text := _read(root / name)[:SAID_MAX])), "")


def mac(root: Path = Path("/")) -> str:
    """Of the first network interface that is a device, by name."""
    devices = sorted(path for path in (root / "sys/class/net").glob("*") if (path / "device").exists())
    return next((text for path in devices if (text := _read(path / "address").lower()) and text.count(":") == 5), "")


def ssh_public_key(given: Path | None, root: Path = Path("/")) -> str:
    """That in the file `given`, or the machine's own. Raises ConfigError where `given` is none."""
    text = _read(given or root / SSH_KEY)
    if given is not None and not text.startswith(("ssh-", "ecdsa-", "sk-")):
        raise ConfigError(f"{given}: no SSH public key can be read in it", hint="it is the file that ends in .pub")
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \n\t\r")
    except OSError:
        return ""
