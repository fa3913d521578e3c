"""How a gateway comes to a hub that does not know it yet: POST /api/v1/enrol, an Enrol as JSON -> Enrolled.

The gateway makes its secret itself and tells only hashes of it: the secret is on no wire but its own, and who asks
once more because the answer was lost is known by it. 403: the code is wrong, used or expired; 429: too many wrong
codes; 503: come again. An error is {"error": words}.
"""

import base64
import hashlib
import os
from typing import Annotated

import msgspec

PATH = "/api/v1/enrol"
# Without letters and digits that look alike on paper or sound alike by telephone; 16 of them are 74 bits.
ALPHABET = "ACDEFGHJKMNPQRTUVWXY34679"
CODE_LETTERS, GROUP = 16, 4

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
BrokerHash = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{48}\Z")]


class Enrol(msgspec.Struct, frozen=True):
    """What the gateway says; a newer one may say more. `mac` as 02:00:5e:10:00:01, or empty; so the others."""

    code: Annotated[str, msgspec.Meta(max_length=64)]
    secret_sha256: Sha256
    broker_hash: BrokerHash
    serial: Annotated[str, msgspec.Meta(max_length=128)] = ""
    mac: Annotated[str, msgspec.Meta(pattern=r"^(([0-9a-f]{2}:){5}[0-9a-f]{2})?\Z")] = ""
    ssh_public_key: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""


class BrokerAddress(msgspec.Struct, frozen=True):
    """Where the node may send besides; its user and password there are its id and its secret. `ca`: PEM, or empty."""

    url: str
    ca: str = ""


class Enrolled(msgspec.Struct, frozen=True):
    """`now`: the hub's clock, milliseconds since 1970 UTC."""

    node: str
    site: str
    now: int
    amqp: BrokerAddress | None = None


class NewSecret(msgspec.Struct, frozen=True):
    """The body of a batch of the type secret, as MessagePack: the node goes over to it."""

    sha256: Sha256
    broker_hash: BrokerHash


def new_secret(secret: str) -> NewSecret:
    """What is told of `secret`."""
    salt = os.urandom(4)  # as the broker keeps passwords
    kept = base64.b64encode(salt + hashlib.sha256(salt + secret.encode()).digest()).decode()
    return NewSecret(hashlib.sha256(secret.encode()).hexdigest(), kept)


def plain_code(text: str) -> str:
    """A claim code as people write it, without what is only for their eyes."""
    return "".join(letter for letter in text.upper() if letter.isalnum())
