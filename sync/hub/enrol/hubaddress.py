"""Where gateways find the hub, and by what they know it: what the command says with which one comes."""

import hashlib
import logging
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from sync.hub.config import HubConfig

ANY = ("0.0.0.0", "[::]")  # where the hub listens that listens everywhere; for another machine no address
END = "-----END CERTIFICATE-----"

log = logging.getLogger(__name__)


class HubAddress:
    """Files in `config` are relative to `folder`."""

    def __init__(self, config: HubConfig, folder: Path) -> None:
        public = config.people.public_url
        self._public = public.rstrip("/") if public else None
        by_others = public is not None and urlsplit(public).port != config.port  # a proxy has a certificate of its own
        self._certificate = folder / config.tls_cert if config.tls_cert and not by_others else None

    def url(self, request: web.Request) -> str:
        """That of the settings; else that by which the hub was asked."""
        if self._public:
            return self._public
        host, colon, port = (
            request.host.rpartition(":") if urlsplit(f"//{request.host}").port else (request.host, "", "")
        )
        return f"{request.scheme}://{socket.gethostname() if host in ANY else host}{colon}{port}"

    def fingerprint(self) -> str:
        """SHA-256 of the hub's certificate where it stands alone in its file, as one that the hub made for itself.

        Empty where there is none, or where others follow it, up to an authority that gateways know: that one is
        renewed, and a gateway that expects this very one would be shut out. Reads the file.
        """
        try:
            text = self._certificate.read_text() if self._certificate is not None else ""
            first, end, others = text.partition(END)
            if not end or END in others:
                return ""
            pem = first[first.index("-----BEGIN CERTIFICATE-----") :] + end
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        except (OSError, ValueError) as error:
            log.warning("the certificate cannot be read", extra={"why": str(error)})
            return ""
