"""A trainer of one host: sends and receives on all channels of the host, with a window of steps on the way.

It speaks by lines: `at STEP` when all steps before have ended and it waits, `done` at its end. It goes on at each line
that it reads.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections import deque
from typing import Any

import numpy as np

import crossmesh as cm

HOSTS = ("a", "b", "c", "d")
DEPTH = 4
SECONDS_MAX = 60.0
# Elements of int32 of each tensor, whole: from what fits in a header's packet to several chunks.
SIZES = (16, 1_024, 16_384, 4_096, 64, 262_144, 256, 65_536)


def layouts(number: int, hosts: tuple[str, ...]) -> tuple[cm.Sharding, cm.Sharding]:
    """From one half of the hosts to the other, there and back by turns."""
    half = len(hosts) // 2
    sides = hosts[:half], hosts[half:]
    source, target = sides if number % 2 == 0 else sides[::-1]
    return cm.Sharding(cm.Mesh((half,), hosts=source), "S0"), cm.Sharding(cm.Mesh((half,), hosts=target), "R")


class Ends:
    """The ends of all channels at one host, and their steps on the way."""

    def __init__(self, agent: cm.Agent, channels: int, hosts: tuple[str, ...], stack: contextlib.ExitStack) -> None:
        self._window: deque[tuple[Any, int, int]] = deque()
        self._ends = []
        for number in range(channels):
            source, target = layouts(number, hosts)
            spec = cm.TensorSpec((SIZES[number % len(SIZES)],), "int32")
            for side, layout in ((agent.sender, source), (agent.receiver, target)):
                mine = [i for i, (host, _) in enumerate(layout.mesh.devices) if host == agent.name]
                if mine:
                    end = stack.enter_context(side(f"endurance/{number}", spec, layout, depth=DEPTH))
                    self._ends.append((number, end, spec.shape[0] // (len(hosts) // 2), mine[0]))

    def step(self, step: int) -> None:
        """Posts a step of every channel, and waits for those that are a window older."""
        for number, end, elements, device in self._ends:
            if isinstance(end, cm.Sender):
                tile = np.full(elements, step * 1_000 + number, np.int32)
                self._window.append((end.send({device: tile}), step, number))
            else:
                self._window.append((end.recv(), step, number))
        while len(self._window) > len(self._ends) * (DEPTH - 1):
            self._take()

    def drain(self) -> None:
        """Waits for all that is on the way."""
        while self._window:
            self._take()
        gc.collect()

    def _take(self) -> None:
        transfer, step, number = self._window.popleft()
        got = transfer.result(SECONDS_MAX)
        if isinstance(got, dict):
            (tile,) = got.values()
            if not (tile == step * 1_000 + number).all():
                raise AssertionError(f"channel {number}, step {step}: wrong bytes arrived")


def main() -> None:
    """Runs steps up to each mark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--hosts", default=",".join(HOSTS))
    parser.add_argument("--marks", required=True, help="steps, separated by commas")
    options = parser.parse_args()
    with cm.connect() as agent, contextlib.ExitStack() as stack:
        ends = Ends(agent, options.channels, tuple(options.hosts.split(",")), stack)
        done = 0
        for mark in (int(text) for text in options.marks.split(",")):
            for step in range(done, mark):
                ends.step(step)
            done = mark
            ends.drain()
            print("at", mark, flush=True)
            sys.stdin.readline()
    print("done", flush=True)


if __name__ == "__main__":
    main()
