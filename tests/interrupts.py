"""Ctrl-C in the programs that tests start."""

import signal


def heed_interrupts() -> None:
    """For `preexec_fn`: a test run in the background of a shell ignores Ctrl-C, and its children
    with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
