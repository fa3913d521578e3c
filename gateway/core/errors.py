"""The errors of Holdfast; a class is named for what its catcher does.

HoldfastError
|- ConfigError     stop, exit code 2: a file or a command line is wrong
|- DeviceError     poll again later: a field device did not answer, or not sensibly
|- PushError       keep the batch and try again: the hub did not take it
|- StorageError    keep it in memory and try again: the disk did not take or give it
|  |- RefusedFileError   stop, somebody must choose: another process's file, or a newer release's
|  `- DamagedFileError   set the file aside and begin a new one: SQLite can no longer read it
`- CodecError      set this piece aside: bytes that are not what they should be
   `- TooLargeError   send it in smaller pieces
"""


class HoldfastError(Exception):
    """What happened and where, in one sentence; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def in_full(self) -> str:
        """The sentence, and what to do."""
        return f"{self}; {self.hint}" if self.hint else str(self)


class ConfigError(HoldfastError):
    """A configuration, a profile or a command line that cannot be used."""


class DeviceError(HoldfastError):
    """A field device that could not be read."""


class PushError(HoldfastError):
    """A batch that the hub has not acknowledged."""


class StorageError(HoldfastError):
    """A store that does not take or give its data."""


class RefusedFileError(StorageError):
    """A store's file that is sound, and not for this process."""


class DamagedFileError(StorageError):
    """A store's file that is no database, or in which pages are broken."""


class CodecError(HoldfastError):
    """Bytes that are truncated, corrupt or of a kind that this release does not know."""


class TooLargeError(CodecError):
    """A piece that is larger than anybody should send at once."""
