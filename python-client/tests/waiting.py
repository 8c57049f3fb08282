"""Waiting for a condition, in one place."""

import gc
import time


def until(condition, seconds=10, pause=0.01):
    """Ask every `pause` seconds whether a condition holds, which a collection of garbage may bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        gc.collect()
        time.sleep(pause)
