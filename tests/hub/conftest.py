"""The stores that the hub's tests run on, each in turn."""

from tests.hub.postgres import postgres_server

__all__ = ["postgres_server"]
