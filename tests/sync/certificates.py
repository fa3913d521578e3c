"""An authority of the test, and certificates that it signs."""

import hashlib
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.needs import needs

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"


@dataclass(frozen=True)
class Signed:
    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER certificate, hexadecimal."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate.read_text())).hexdigest()

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """Its own certificate is `file`."""

    def __init__(self, folder: Path) -> None:
        needs("openssl", "openssl")
        self._folder = folder
        self.file = folder / "ca.pem"
        may = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
        self._openssl(f"req -x509 {KEY} -days 30 -subj /CN=ca -keyout ca.key -out ca.pem {may}")

    def sign(self, name: str, *, days: int = 30, names: str = NAMES) -> Signed:
        """A new certificate for this machine; with `days` below 0 it has expired."""
        (self._folder / "names").write_text(names)
        self._openssl(f"req {KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr")
        self._openssl(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile names"
            f" -out {name}.pem"
        )
        return Signed(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self._folder, check=True, capture_output=True)
