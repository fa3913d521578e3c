"""Ctrl-C while the program is still being loaded ends it at once, and without a traceback.

The command line imports this first, and ends it with `over` when all is loaded.
"""

import signal

_before = signal.getsignal(signal.SIGINT)
if _before is signal.default_int_handler:  # else somebody wants to have it otherwise, as nohup does
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def over() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again."""
    signal.signal(signal.SIGINT, _before)
