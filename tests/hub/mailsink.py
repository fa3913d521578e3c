"""A small mail server: it keeps what it takes. STARTTLS or TLS from the start, with a login where one is set."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

GREETING = b"220 sink ESMTP\r\n"


class MailSink:
    """`login`: user and password, or None; `refuses`: a reply to RCPT, as b"550 no such person"."""

    def __init__(self, tls: ssl.SSLContext, login: tuple[str, str] | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.to: list[str] = []
        self.secure: list[bool] = []  # of each mail: whether the line was
        self.refuses = b""
        self.port = 0
        self._tls = tls
        self._login = login

    @asynccontextmanager
    async def running(self, *, tls: bool = False) -> AsyncIterator[None]:
        """`tls`: from the start."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls if tls else None)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(GREETING)
            while line := await reader.readline():
                if not await self._answer(line.strip(), reader, writer):
                    break
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        verb, secure = line.split(b" ")[0].upper(), writer.get_extra_info("ssl_object") is not None
        if verb == b"EHLO":
            writer.write(
                b"250-sink\r\n" + (b"250-AUTH PLAIN\r\n" if secure else b"250-STARTTLS\r\n") + b"250 8BITMIME\r\n"
            )
        elif verb == b"STARTTLS":
            writer.write(b"220 go ahead\r\n")
            await writer.drain()
            await writer.start_tls(self._tls)
        elif verb == b"AUTH":
            _, user, password = base64.b64decode(line.split(b" ")[2]).decode().split("\0")
            writer.write(b"235 welcome\r\n" if (user, password) == self._login else b"535 who is that\r\n")
        elif verb == b"RCPT":
            writer.write((self.refuses or b"250 ok") + b"\r\n")
            if not self.refuses:
                self.to.append(line.partition(b"<")[2].partition(b">")[0].decode())
        elif verb == b"DATA":
            writer.write(b"354 go on\r\n")
            content = await reader.readuntil(b"\r\n.\r\n")
            self.mails.append(message_from_bytes(content[:-3], policy=policy.default))  # type: ignore[arg-type]
            self.secure.append(secure)
            writer.write(b"250 taken\r\n")
        else:
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        return verb != b"QUIT"
