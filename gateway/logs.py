"""Log lines for the journal: a constant phrase, then the facts as key=value."""

import logging
import sys

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Facts(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = [f"{key}={value!r}" for key, value in record.__dict__.items() if key not in _STANDARD]
        line = " ".join([f"{record.levelname.lower()} {record.getMessage()}", *facts])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def start(level: int) -> None:
    """Log to standard error; the service manager adds the time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Facts())
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for library in ("aiormq", "aio_pika"):  # they tell each failed attempt, with its traceback; we tell changes
        logging.getLogger(library).setLevel(logging.CRITICAL)
