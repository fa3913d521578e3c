"""Alerts by e-mail, through a mail server that hub.yaml names."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from sync.hub.alerts.notices import Message, subject, text
from sync.hub.alerts.receivers import Receiver
from sync.hub.alerts.settings import SmtpConfig
from sync.hub.alerts.webhook import DeliveryError

TIMEOUT_S = 10.0  # of each step


class Mail:
    """`config` None: the hub has no mail server, and says so."""

    def __init__(self, config: SmtpConfig | None, folder: Path = Path()) -> None:
        """Files in `config` are relative to `folder`."""
        self._config = config
        self._folder = folder

    async def send(self, receiver: Receiver, message: Message) -> None:
        """Raises DeliveryError. It returns when the server has taken the mail."""
        if self._config is None:
            raise DeliveryError("this hub sends no e-mail", hint="name a mail server in hub.yaml, alerts.smtp")
        try:
            await asyncio.to_thread(self._send, self._config, _mail(self._config.sender, receiver.address, message))
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"the mail server says {error.smtp_code}") from error
        except (smtplib.SMTPException, ssl.SSLError, OSError, ValueError) as error:
            raise DeliveryError(f"the mail server: {type(error).__name__}") from error

    def _send(self, config: SmtpConfig, mail: EmailMessage) -> None:
        """On a thread of its own."""
        with self._connected(config) as server:
            if config.security == "starttls":
                server.starttls(context=self._trust(config))
            if config.username is not None:
                server.login(config.username, config.password or "")
            server.send_message(mail)

    def _connected(self, config: SmtpConfig) -> smtplib.SMTP:
        if config.security == "tls":
            return smtplib.SMTP_SSL(config.host, config.port, timeout=TIMEOUT_S, context=self._trust(config))
        return smtplib.SMTP(config.host, config.port, timeout=TIMEOUT_S)

    def _trust(self, config: SmtpConfig) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._folder / config.tls_ca) if config.tls_ca else None)


def _mail(sender: str, address: str, message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, address, subject(message)
    mail["Date"] = formatdate(message.sent / 1000)
    mail["Message-ID"] = f"<{message.delivery}@{sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # no answers of people who are away
    mail.set_content(text(message))
    return mail
