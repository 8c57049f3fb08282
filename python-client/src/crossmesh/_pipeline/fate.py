"""How a pipeline ends: every process hears why from the channel that joins all of them."""

from __future__ import annotations

import re
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from .._errors import CrossmeshError, PeerLost, TransferCancelled, TransferTimeout
from .gather import Gather
from .graph import Pipeline

CAUSE_SECONDS = 5.0
"""How long a process that saw a channel end waits to hear why from the one that joins all processes."""
POLL_SECONDS = 0.2
"""How often a wait looks whether something else has ended the pipeline. What it waits for ends it at once."""

_OF_CHANNELS = (PeerLost, TransferCancelled, TransferTimeout)
"""What a channel says when another process has ended. Anything else is a cause by itself."""

_LOST = re.compile(r"(?:lost .* of \w+ host|Host|agent of host) '([^']+)'")


class Fate:
    """What one process knows of how the others are."""

    def __init__(self, pipeline: Pipeline, gather: Gather) -> None:
        self._pipeline = pipeline
        self._gather = gather

    def wait(self, arriving: Future[Any]) -> Any:
        """Wait for what arrives.

        **Raises:** its own error, or what ended the pipeline for all.
        """
        while True:
            try:
                return arriving.result(POLL_SECONDS)
            except TimeoutError:
                if arriving.done():
                    return arriving.result()
                watch = self._gather.post()
                if watch.done() and watch.exception() is not None:
                    watch.result()

    def cause(self, error: BaseException) -> BaseException:
        """Why the pipeline ended, given what one channel said.

        When a process dies, its neighbours end in turn, and what a channel between two that live says is only that the
        other one ended. The channel that joins all says who died.
        """
        if not isinstance(error, _OF_CHANNELS):
            return error
        heard: BaseException | None = None
        if not isinstance(error, PeerLost) or not _LOST.search(str(error)):
            with suppress(TimeoutError, CrossmeshError):
                heard = self._gather.post().exception(CAUSE_SECONDS)
        cause = heard if isinstance(heard, CrossmeshError) else error
        return PeerLost(self._naming(str(cause))) if isinstance(cause, PeerLost) else cause

    def _naming(self, text: str) -> str:
        """The text of a loss, after the names of the stages that are lost."""
        match = _LOST.search(text)
        if match is None or "lost the connection" in text:
            return text
        gone = [
            repr(self._pipeline.stages[part].name)
            for process in self._pipeline.processes
            if process.host == match[1]
            for part in process.parts
        ]
        if not gone:
            return text
        return f"Stage {', '.join(gone)} is gone. Start all stages again and resume from the last save. [{text}]"
