"""NIXL with its UCX backend: the sender writes each intersection into the receiver's registered memory."""

from __future__ import annotations

import base64
import time
from typing import Any, Final

from nixl._api import nixl_agent, nixl_agent_config

from .boxes import Array, Box, Work
from .peer import Exchange

STEP_SECONDS_MAX: Final = 60.0


class Nixl(Exchange):
    """One WRITE with a notification for each message and receiver."""

    def hello(self) -> str:
        """This agent's metadata, so that the others can reach it."""
        self._agent = nixl_agent(self.host, nixl_agent_config(backends=["UCX"]))
        return base64.b64encode(self._agent.get_agent_metadata()).decode()

    def meet(self, hellos: dict[str, Any]) -> None:
        """Nothing: metadata is exchanged again once memory is registered."""

    def open(self, work: Work, held: dict[Box, Array]) -> Any:
        """Registers what takes part, and says where each message goes."""
        super().open(work, held)
        places = {m.number: self.landing_bytes(m) for m in self.incoming}
        memory = {_where(a) for a in (*held.values(), *self._packed.values(), *self._tiles.values())}
        within = [(start, start + nbytes) for start, nbytes in memory]
        for start, nbytes in map(_where, places.values()):
            if not any(low <= start and start + nbytes <= high for low, high in within):
                memory.add((start, nbytes))
        regions = [(start, nbytes, 0, "") for start, nbytes in sorted(memory)]
        self._registered = self._agent.register_memory(regions, "DRAM") if regions else None
        metadata = base64.b64encode(self._agent.get_agent_metadata()).decode()
        return {"metadata": metadata, "places": {str(number): _where(data) for number, data in places.items()}}

    def opened(self, offers: dict[str, Any]) -> None:
        """Makes a write for each message and receiver."""
        self._receivers = sorted({host for m in self.outgoing for host in m.receivers})
        for host in self._receivers:
            self._agent.add_remote_agent(base64.b64decode(offers[host]["metadata"]))
            self._agent.make_connection(host)
        self._writes = []
        for m in self.outgoing:
            for host in m.receivers:
                local = self._agent.get_xfer_descs([(*_where(self.outgoing_place(m)), 0)], "DRAM")
                remote = self._agent.get_xfer_descs([(*offers[host]["places"][str(m.number)], 0)], "DRAM")
                note = str(m.number).encode()
                self._writes.append((m, self._agent.initialize_xfer("WRITE", local, remote, host, note)))

    def step(self) -> None:
        """See `Peer`."""
        deadline = time.monotonic() + STEP_SECONDS_MAX
        running = []
        packed = set()
        for m, handle in self._writes:
            if m.number not in packed:
                self.outgoing_bytes(m)
                packed.add(m.number)
            if self._agent.transfer(handle) == "ERR":
                raise RuntimeError("NIXL could not post a write")
            running.append(handle)
        missing = {m.number: m for m in self.incoming}
        while missing or running:
            for notes in self._agent.get_new_notifs().values():
                for note in notes:
                    self.landed(missing.pop(int(note)))
            states = [(handle, self._agent.check_xfer_state(handle)) for handle in running]
            if any(state == "ERR" for _, state in states):
                raise RuntimeError("a write of NIXL failed")
            running = [handle for handle, state in states if state != "DONE"]
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done after {STEP_SECONDS_MAX:g} s")
            time.sleep(0)

    def close(self) -> None:
        """Gives the memory back."""
        for _, handle in self._writes:
            self._agent.release_xfer_handle(handle)
        for host in self._receivers:
            self._agent.remove_remote_agent(host)
        if self._registered is not None:
            self._agent.deregister_memory(self._registered)


def _where(data: Array) -> tuple[int, int]:
    return data.ctypes.data, data.nbytes
