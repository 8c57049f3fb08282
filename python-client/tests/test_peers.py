"""What the peers' benchmark asks of a peer: that its messages make exactly the tiles that are wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossmesh._demo import paper_cases

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CASES = paper_cases(128)


@pytest.fixture
def _peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.usefixtures("_peers")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_messages_of_a_case_make_every_wanted_tile(case: Any) -> None:
    from peers.boxes import Work, values
    from peers.cases import work_of
    from peers.peer import Exchange

    class Local(Exchange):
        def step(self) -> None:
            """Bytes go from object to object below."""

    work = Work.from_json(json.loads(json.dumps(work_of(case).to_json())))
    assert work == work_of(case)
    dtype = np.dtype(work.dtype)
    hosts = sorted({*work.held, *work.wanted})
    peers = {host: Local(host, hosts, {}, "") for host in hosts}
    for host, peer in peers.items():
        peer.open(work, {box: values(work.shape, box, dtype) for box in work.held.get(host, ())})
        for tile in peer.tiles().values():
            tile.fill(-1)
    for message in work.messages:
        data = peers[message.sender].outgoing_bytes(message)
        for host in message.receivers:
            peers[host].landing_bytes(message)[:] = data
            peers[host].landed(message)
    whole = values(work.shape, tuple((0, n) for n in work.shape), dtype)
    assert len(np.unique(whole)) == whole.size or dtype.kind == "f"
    for host in hosts:
        assert set(peers[host].tiles()) == set(work.wanted.get(host, ()))
        for box, tile in peers[host].tiles().items():
            assert np.array_equal(tile, whole[tuple(slice(lo, hi) for lo, hi in box)])


@pytest.mark.usefixtures("_peers")
def test_a_peer_that_hangs_is_not_asked_to_close_and_its_first_word_is_kept() -> None:
    from peers.cases import work_of
    from peers.group import PeerGone
    from peers.measure import compare

    class Fake:
        def __init__(self, peer: str, hangs: bool) -> None:
            self.peer, self._hangs, self.asked = peer, hangs, list[str]()

        def call(self, do: str, **more: Any) -> dict[str, Any]:
            self.asked.append(do)
            if self._hangs and do in ("step", "close"):
                raise PeerGone(f"{do}: no answer in time")
            return {"h0": more.get("at", 0.0) + 1.0}

    ours, theirs = Fake("crossmesh", False), Fake("slow", True)
    rows = compare(ours, theirs, [work_of(case) for case in CASES[:2]], 1, 1, lambda row: None)  # type: ignore[arg-type]
    assert [row.reason for row in rows] == ["step: no answer in time"] * 2
    assert (ours.asked.count("close"), theirs.asked.count("close")) == (1, 0)
