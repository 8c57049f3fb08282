"""An agent in memory: one host, whose channels move sets from sender to receiver by copying in a temporary file.

It keeps the contract of the gateway that the two ends of a channel rely on, and nothing else: openings meet by name,
steps match by number, credits and sets are counted, events come in order.
"""

from __future__ import annotations

import itertools
import math
import queue
import threading
from dataclasses import dataclass, field

import crossmesh as cm
from crossmesh import _events as events
from crossmesh._control import Asks
from crossmesh._mesh import Mesh
from crossmesh._sharding import sharding_from_json

LANDING_FROM = 1 << 20


@dataclass
class Claim:
    session: int
    number: int
    request: dict
    tiles: tuple = ()
    set_bytes: int = 0
    sets: tuple = ()
    closed: bool = False


@dataclass
class Pair:
    src: Claim
    dst: Claim
    sends: dict = field(default_factory=dict)
    recvs: set = field(default_factory=set)
    dead: dict = field(default_factory=dict)


class FakeControl:
    """`Control` over a bytearray-like arena file; `spares` is how many landing sets there are before it says copy."""

    def __init__(self, arena, spares=1 << 10):
        self.arena = arena
        self.spares = spares
        self.lock = threading.RLock()
        self.events = {}
        self.heads = {}
        self.claims = {}
        self.pairs = {}
        self.waiting = {}
        self.numbers = itertools.count(1)
        self.next_base = 0
        self.out = {}
        self.calls = []
        self.dead = None

    def _check(self, *call):
        if self.dead is not None:
            raise self.dead
        self.calls.append(call)

    def open_session(self, pid, label):
        self._check("open_session", pid)
        number = next(self.numbers)
        self.events[number] = queue.SimpleQueue()
        return number

    def open_channel(self, session, request):
        self._check("open_channel", request["name"])
        with self.lock:
            claim = Claim(session, next(self.numbers), request)
            self.claims[claim.number] = claim
            other = self.waiting.pop(request["name"], None)
            if other is None:
                self.waiting[request["name"]] = claim
            else:
                src, dst = (claim, other) if request["side"] == "src" else (other, claim)
                self._open(Pair(src, dst))
            return claim.number

    def _open(self, pair):
        if pair.src.request["tensors"] != pair.dst.request["tensors"] and [
            (t["key"], t["shape"], t["dtype"]) for t in pair.src.request["tensors"]
        ] != [(t["key"], t["shape"], t["dtype"]) for t in pair.dst.request["tensors"]]:
            for claim in (pair.src, pair.dst):
                self._tell(claim, events.ChannelFailed(claim.number, cm.PlanMismatch("tensors differ")))
            return
        for claim in (pair.src, pair.dst):
            self.pairs[claim.number] = pair
            claim.tiles, claim.set_bytes = self._tiles(claim)
            if claim is pair.src:
                claim.sets = tuple(self._allocate(claim.set_bytes) for _ in range(claim.request["depth"]))
        for claim in (pair.src, pair.dst):
            opened = events.Opened(claim.number, 1, "0" * 64, claim.tiles, claim.set_bytes, claim.sets)
            self._tell(claim, opened)

    def _tiles(self, claim):
        request, tiles, offset = claim.request, [], 0
        meshes = [Mesh._from_json(mesh) for mesh in request["meshes"]]
        for number, tensor in enumerate(request["tensors"]):
            sharding = sharding_from_json(meshes, request["layouts"][tensor["layout"]])
            boxes = {}
            for device in request["devices"]:
                boxes.setdefault(sharding.boxes(tensor["shape"])[device], []).append(device)
            for box, devices in boxes.items():
                part = cm.TensorSpec([hi - lo for lo, hi in box], tensor["dtype"])
                nbytes = part.dtype.itemsize * math.prod(part.shape)
                tiles.append(events.Tile(number, tuple(devices), box, offset, nbytes))
                offset += -(-nbytes // 64) * 64
        return tuple(tiles), offset

    def _allocate(self, nbytes):
        base = self.next_base
        self.next_base += -(-max(nbytes, 64) // 64) * 64
        return base

    def _tell(self, claim, event):
        self.events[claim.session].put(event)

    def send(self, session, channel, step, staging_set):
        self._check("send", step, staging_set)
        with self.lock:
            pair = self.pairs[channel]
            if step in pair.dead:
                self._tell(pair.src, events.Sent(pair.src.number, step, staging_set))
                self._tell(pair.src, events.StepFailed(pair.src.number, step, cm.TransferCancelled(pair.dead[step])))
                return
            pair.sends[step] = staging_set
            self._match(pair, step)

    def recv(self, session, channel, step):
        self._check("recv", step)
        with self.lock:
            pair = self.pairs[channel]
            if step in pair.dead:
                self._tell(pair.dst, events.StepFailed(pair.dst.number, step, cm.TransferCancelled(pair.dead[step])))
                return
            pair.recvs.add(step)
            self._match(pair, step)

    def _match(self, pair, step):
        if step not in pair.sends or step not in pair.recvs:
            return
        staging = pair.src.sets[pair.sends.pop(step)]
        pair.recvs.discard(step)
        base = self._allocate(pair.dst.set_bytes)
        for mine in pair.dst.tiles:
            theirs = next(t for t in pair.src.tiles if t.tensor == mine.tensor and t.box == mine.box)
            self.arena.root(base + mine.offset, mine.bytes)[:] = self.arena.root(staging + theirs.offset, mine.bytes)
        self._tell(pair.src, events.Sent(pair.src.number, step, pair.src.sets.index(staging)))
        self._tell(pair.src, events.Delivered(pair.src.number, step))
        receipt = next(self.numbers)
        self.out[receipt] = (base, pair.dst.set_bytes)
        copy = len(self.out) > self.spares
        self._tell(pair.dst, events.Received(pair.dst.number, step, receipt, base, copy))

    def release(self, session, channel, receipt):
        self._check("release", receipt)
        with self.lock:
            base, nbytes = self.out.pop(receipt)
            if nbytes:
                self.arena.root(base, nbytes)[:] = 0xEE  # whoever reads on sees it
        return True

    def cancel(self, session, channel, step, code, reason):
        self._check("cancel", step, code, reason)
        with self.lock:
            pair = self.pairs[channel]
            pair.dead[step] = reason
            pair.recvs.discard(step)
            staged = pair.sends.pop(step, None)
            for claim in (pair.src, pair.dst):
                self._tell(claim, events.StepFailed(claim.number, step, cm.TransferCancelled(reason)))
            if staged is not None:
                self._tell(pair.src, events.Sent(pair.src.number, step, staged))

    def abort(self, session, channel, reason):
        self._check("abort", reason)
        with self.lock:
            pair = self.pairs.get(channel)
            for claim in (pair.src, pair.dst) if pair else (self.claims[channel],):
                self._tell(claim, events.ChannelFailed(claim.number, cm.TransferCancelled(reason)))

    def close_channel(self, session, channel):
        self._check("close_channel", channel)
        with self.lock:
            self._tell(self.claims[channel], events.Closed(channel))

    def close_session(self, session):
        self._check("close_session", session)
        self.events[session].put(None)

    def has_ring(self, session):
        return False

    def nudge(self, session):
        return False

    def want_sets(self, session, more):
        pass

    def ping(self):
        if self.dead is not None:
            raise self.dead

    def next_event(self, session, wait_millis, *, ask):
        if not ask:
            raise Asks
        if self.dead is not None:
            raise self.dead
        if session not in self.heads:
            try:
                event = self.events[session].get(timeout=min(wait_millis, 50) / 1000)
            except queue.Empty:
                if self.dead is not None:
                    raise self.dead from None
                return None
            if event is None:
                raise cm.CrossmeshError("no such session")
            self.heads[session] = event
        return self.heads[session]

    def event_told(self, session):
        del self.heads[session]

    def events_taken(self, session):
        pass

    def plan_json(self, plan):
        raise AssertionError(plan)

    plan_summary = plan_request = plan_moves = plan_tasks = plan_release = plan_json
    plan_report = plan_compare = plan_timeline = plan_json
