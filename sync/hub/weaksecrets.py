"""Secrets that everybody knows, for a hub does not start with them."""

from urllib.parse import unquote, urlsplit

from gateway.core import document
from gateway.core.credential import digest
from sync.hub.config import HubConfig

KNOWN = (
    "", "guest", "secret", "changeme", "change me", "password", "passw0rd", "admin", "root", "test", "hub", "holdfast",
    "postgres", "default", "1234", "12345678", "123456789012", "the hub's own at the broker", "its own at the broker",
)  # fmt: skip
# Of the examples in this project's own files.
EXAMPLES = (
    "2b2edda571e1c25347a16c865c0a7c9c894a8f4157c8d79da42863ee4422f53d",
    "7c9c894a8f4157c8d79da42863ee4422f53d2b2edda571e1c25347a16c865c0a",
    "934d76337cbf3fb5c2872362513412e76d031663de0e2fd8c25d656fd2b0c92f",
)
KNOWN_SHA256 = frozenset(map(digest, KNOWN)) | frozenset(EXAMPLES) | {digit * 64 for digit in "0123456789abcdef"}


def check_secrets(config: HubConfig, text: str, source: str) -> None:
    """Raises ConfigError for the first one, with the place in `text`, of which `config` was made."""
    parsed = document.parse(text, source)
    for index, node in enumerate(config.nodes):
        if node.secret_sha256 in KNOWN_SHA256:
            words = f"the secret of {node.id} is empty, a usual one, or of an example"
            hint = "make another: `openssl rand -base64 24`, into site_local.yaml; its SHA-256 here"
            raise parsed.complaint(("nodes", index, "secret_sha256"), words, hint=hint)
    if config.metrics_token_sha256 in KNOWN_SHA256:
        hint = "make another: `openssl rand -base64 24`, for Prometheus; its SHA-256 here"
        raise parsed.complaint(
            ("metrics_token_sha256",), "the token is empty, a usual one, or of an example", hint=hint
        )
    if config.amqp is not None and _is_known(config.amqp.password, config.amqp.username):
        hint = "make another: `openssl rand -base64 24`; `holdfast hub amqp-provision` brings it to the broker"
        raise parsed.complaint(("amqp", "password"), "a usual password, or an example's", hint=hint)
    if config.amqp is not None and _is_known(config.amqp.management_password, config.amqp.management_username):
        hint = "make another at the broker: `rabbitmqctl change_password`"
        raise parsed.complaint(("amqp", "management_password"), "a usual password, or an example's", hint=hint)
    smtp = config.alerts.smtp
    if smtp is not None and _is_known(smtp.password, smtp.username or ""):
        raise parsed.complaint(
            ("alerts", "smtp", "password"), "a usual password", hint="make another at the mail server"
        )
    if "://" in config.store:
        _check_store(config.store, parsed)


def _check_store(store: str, parsed: document.Document) -> None:
    try:
        parts = urlsplit(store)
    except ValueError as error:
        raise parsed.complaint(("store",), "not an address", hint="postgresql://user:password@host/database") from error
    if parts.password is not None and _is_known(unquote(parts.password), unquote(parts.username or "")):
        raise parsed.complaint(("store",), "a usual password of the database", hint="make another: ALTER ROLE")


def _is_known(secret: str | None, name: str) -> bool:
    return secret is not None and secret.strip().casefold() in (*KNOWN, name.casefold())
