"""What gateway and hub agreed on, in files of our own beside site.yaml, which only this gateway's user may read.

`site_hub.yaml` lies over site.yaml and site_local.yaml, so that nobody's comments are written over. While the secret
is being changed, the next one waits in `site_hub.yaml.next`: whenever we are killed, one of both files has a secret
that the hub takes. `site_hub.yaml.enrol` has that of an enrolment of which no answer came.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import yaml

from gateway.core.diskwords import storage_error
from gateway.core.errors import StorageError
from gateway.newfile import new_file

SECRET_BYTES = 32
HEAD = "# Written by holdfast when the gateway was enrolled, or got another secret. It lies over the other files.\n"


def hub_path(site: Path) -> Path:
    """Where `hub:` is that came from the hub, for the configuration `site`."""
    return site.with_name(f"{site.stem}_hub{site.suffix}")


class HubFile:
    """The files beside `site`. All methods raise StorageError."""

    def __init__(self, site: Path) -> None:
        self.path = hub_path(site)
        self._next = self.path.with_name(f"{self.path.name}.next")
        self._enrol = self.path.with_name(f"{self.path.name}.enrol")
        self._known = {self._now()}  # what stood there that is no news

    def has_news(self) -> bool:
        """Whether somebody else has written it; of what stands there this is said once."""
        now = self._now()
        is_new = now not in self._known
        self._known.add(now)
        return is_new

    def _now(self) -> bytes:
        return hashlib.sha256(_text(self.path).encode()).digest()

    def read(self) -> dict[str, Any]:
        """Its keys of `hub:`; what is no such file is none, and whoever loads the configuration says why."""
        try:
            parsed = yaml.safe_load(_text(self.path))
        except yaml.YAMLError:
            return {}
        hub = parsed.get("hub") if isinstance(parsed, dict) else None
        return hub if isinstance(hub, dict) else {}

    def write(self, hub: Mapping[str, Any]) -> None:
        """These keys of `hub:`, and no others; on the disk when this returns."""
        body = yaml.safe_dump({"hub": dict(hub)}, allow_unicode=True, sort_keys=False)
        self._known.add(hashlib.sha256((HEAD + body).encode()).digest())
        write_private(self.path, HEAD + body)

    def proposed(self) -> str | None:
        """The secret to which a change is under way."""
        return _text(self._next).strip() or None

    def propose(self) -> str:
        """The secret to change to, the same until it is adopted or dropped; on the disk when this returns."""
        return self.proposed() or _kept(self._next)

    def adopt(self, secret: str) -> None:
        """`secret` is ours from now on."""
        self.write(self.read() | {"secret": secret})
        self.drop()

    def drop(self) -> None:
        """No change is under way any more."""
        _unlink(self._next)

    def enrolling(self, purpose: str) -> str:
        """The secret to enrol with, the same again for the same `purpose`; on the disk when this returns."""
        said, _, secret = _text(self._enrol).strip().partition(" ")
        return secret if secret and said == purpose else _kept(self._enrol, f"{purpose} ")

    def enrolled(self, hub: Mapping[str, Any]) -> None:
        """The enrolment is done; so is every change of the secret before it."""
        self.write(hub)
        self.drop()
        _unlink(self._enrol)


def write_private(path: Path, text: str) -> None:
    """A file that only its owner may read, whole or not there. Raises StorageError."""
    with new_file(path, force=True) as part:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)


def _kept(path: Path, before: str = "") -> str:
    secret = token_urlsafe(SECRET_BYTES)
    write_private(path, f"{before}{secret}\n")
    return secret


def _text(path: Path) -> str:
    """Empty where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise StorageError(f"{path}: not UTF-8") from error
    except OSError as error:
        raise storage_error(path, error) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
