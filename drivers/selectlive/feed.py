"""Where select.live's JSON is fetched: from the box on the LAN, or from the maker's cloud."""

from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from gateway.core.errors import ConfigError, DeviceError

TIMEOUT_S = 10.0
BODY_MAX = 64 * 1024  # an answer has 800 bytes
CLOUD = "https://select.live"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
REDIRECTS = range(300, 400)
LOGIN_HINT = "check email, password and system number, by signing in at the site"


class Feed(Protocol):
    """Gives the newest answer."""

    @property
    def name(self) -> str:
        """For messages; holds no secret."""
        ...

    async def fetch(self) -> bytes:
        """Raises DeviceError."""
        ...

    async def close(self) -> None: ...


class BoxFeed:
    """The box at `host` (HOST or HOST:PORT); `device_id` is the 32 hex digits of its own pages. Made in a loop."""

    def __init__(self, host: str, device_id: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.name = host
        self._url = f"http://{host}/cgi-bin/solarmonweb/devices/{device_id}/point"
        self._session = _session(timeout_s)

    async def fetch(self) -> bytes:
        status, body = await _ask(self._session, self.name, "GET", self._url)
        if status == 404:
            raise DeviceError(f"{self.name} does not know this device id", hint="see the box's own page for its id")
        return _usable(self.name, status, body)

    async def close(self) -> None:
        await self._session.close()


class CloudFeed:
    """The maker's cloud, with the account that has system number `system`. Made in a loop.

    It is signed in to when it is first asked, and once more where it no longer knows us. Raises
    ConfigError for an address over which the password would go unencrypted.
    """

    def __init__(
        self, email: str, password: str, system: str, *, url: str = CLOUD, timeout_s: float = TIMEOUT_S
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise ConfigError(f"{url}: the password would go unencrypted", hint="use https://")
        self.name = parts.netloc
        self._login_url = f"{url.rstrip('/')}/login"
        self._data_url = f"{url.rstrip('/')}/dashboard/hfdata/{system}"
        self._form = {"email": email, "pwd": password}
        self._session = _session(timeout_s, trust_env=True)
        self._signed_in = False

    async def fetch(self) -> bytes:
        if self._signed_in:
            status, body = await _ask(self._session, self.name, "GET", self._data_url)
            if not _is_sign_in(status, body):
                return _usable(self.name, status, body)
        self._signed_in = False
        await self._sign_in()
        status, body = await _ask(self._session, self.name, "GET", self._data_url)
        if _is_sign_in(status, body):
            raise DeviceError(f"{self.name} wants us to sign in again", hint=LOGIN_HINT)
        self._signed_in = True
        return _usable(self.name, status, body)

    async def close(self) -> None:
        await self._session.close()

    async def _sign_in(self) -> None:
        status, body = await _ask(self._session, self.name, "POST", self._login_url, self._form)
        if 400 <= status < 500:
            raise DeviceError(f"{self.name} refuses the sign-in with status {status}", hint=LOGIN_HINT)
        if status not in REDIRECTS:
            _usable(self.name, status, body)


def _session(timeout_s: float, *, trust_env: bool = False) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=1),
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # unsafe: cookies of addresses, too
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        trust_env=trust_env,
    )


async def _ask(
    session: aiohttp.ClientSession, name: str, method: str, url: str, form: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body, of which at most BODY_MAX. Raises DeviceError where nobody answers."""
    try:
        async with session.request(method, url, data=form, allow_redirects=False) as response:
            body = b""
            while chunk := await response.content.read(BODY_MAX - len(body)):
                body += chunk
            return response.status, body
    except TimeoutError as error:
        raise DeviceError(f"no answer from {name} in time", hint="check its power and network") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise DeviceError(f"{name} cannot be reached: {why}", hint="check its address and network") from error


def _is_sign_in(status: int, body: bytes) -> bool:
    """Whether this sends us to the sign-in page, or is it."""
    return status in REDIRECTS or status in (401, 403) or (status == 200 and body.lstrip()[:1] == b"<")


def _usable(name: str, status: int, body: bytes) -> bytes:
    if status != 200:
        raise DeviceError(f"{name} answers with status {status}", hint="it may restart; try its page in a browser")
    return body
