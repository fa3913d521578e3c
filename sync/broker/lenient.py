"""A message whose properties cannot be read comes without any.

The broker passes on what a node has put there, and for a time in the year 10,000 or a text that is no UTF-8 the library
ends the connection, again and again: one node could keep the hub from hearing all others.
"""

from pamqp.base import BasicProperties

_read = BasicProperties.unmarshal


def _read_or_leave(self: BasicProperties, flags: int, data: bytes) -> None:
    try:
        _read(self, flags, data)
    except Exception:  # whatever the library makes of it
        for name in self.__slots__:
            setattr(self, name, None)


def be_lenient() -> None:
    """Have the library read so, in this process."""
    BasicProperties.unmarshal = _read_or_leave  # type: ignore[method-assign]
