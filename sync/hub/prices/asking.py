"""One GET for a document of prices: bounded in size and time, and what is no answer told apart."""

import json
from decimal import Decimal
from typing import Any

import aiohttp

from sync.hub.prices.provider import PriceError

BODY_MAX = 2 * 1024 * 1024  # bytes; a day of quarters has some 20 kB
TIMEOUT_S = 30.0
HEADERS = {"Accept": "application/json, text/csv;q=0.9", "User-Agent": "holdfast-hub"}


class Asker:
    """A session for each document: a few a day are asked for."""

    def __init__(self, *, body_max: int = BODY_MAX, timeout_s: float = TIMEOUT_S) -> None:
        self._body_max = body_max
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def text(self, url: str, query: dict[str, str] | None = None) -> str:
        """The document. Raises PriceError; an address with a secret in its query is not told whole."""
        where = url.partition("?")[0]
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, headers=HEADERS) as session,
                session.get(url, params=query) as answer,
            ):
                if answer.status != 200:
                    raise PriceError(f"{where}: status {answer.status}")
                return await self._body(answer, where)
        except TimeoutError as error:
            raise PriceError(f"{where}: no whole answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:  # aiohttp.InvalidURL is both
            raise PriceError(f"{where}: {type(error).__name__}: {error}") from error

    async def _body(self, answer: aiohttp.ClientResponse, where: str) -> str:
        body = bytearray()
        async for piece in answer.content.iter_chunked(64 * 1024):
            body += piece
            if len(body) > self._body_max:
                raise PriceError(f"{where}: more than {self._body_max} bytes")
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise PriceError(f"{where}: the answer is not UTF-8") from error


def parsed_json(text: str, where: str) -> Any:
    """With numbers as they are written. Raises PriceError."""
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError) as error:
        said = " ".join(text[:60].split())
        raise PriceError(f"{where}: not JSON, begins with {said!r}") from error


def decimal_of(value: object, where: str, *, comma: bool = False) -> Decimal:
    """A number as a document has it. Raises PriceError."""
    try:
        if isinstance(value, Decimal):
            return value
        if isinstance(value, str):
            text = value.strip().replace("\xa0", "").replace(" ", "")
            return Decimal(text.replace(".", "").replace(",", ".") if comma else text)
    except ArithmeticError:
        pass
    raise PriceError(f"{where}: expected a number, got {str(value)[:40]!r}")
