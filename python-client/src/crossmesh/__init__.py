"""Cross-mesh resharding: move sharded tensors from the layout of one device mesh to that of another.

`plan` plans a transfer and predicts its time, without any cluster. `LocalCluster` starts agents on this machine;
`connect` talks to the agent of this host and opens the two ends of a channel. JAX and the JVM start on first use.
"""

import logging as _logging
from typing import TYPE_CHECKING
from typing import Any as _Any

from ._agent import Agent, connect
from ._boundary import Boundary
from ._cluster import LocalCluster
from ._errors import (
    AgentUnavailable,
    ArenaFull,
    AuthError,
    CallbackWaits,
    CrossmeshError,
    LayoutError,
    PeerLost,
    PlanMismatch,
    ScheduleError,
    StepMismatch,
    TooManySteps,
    TransferCancelled,
    TransferCorrupted,
    TransferTimeout,
)
from ._mesh import Device, Mesh
from ._plan import Chosen, Move, Plan, UnitTask, plan
from ._receiver import Receiver
from ._schedule import Op, Schedule, schedule
from ._sender import Sender
from ._sharding import Sharding
from ._simulation import OpSpan, Simulation, TransferSpan, simulate
from ._spec import TensorSpec
from ._tls import Tls
from ._topology import Nic, Topology
from ._transfer import Transfer

if TYPE_CHECKING:
    from . import jax as jax
    from . import pipeline as pipeline

__version__ = "0.1.0"

# Silent unless the program sets logging up: what it hears is starts, ends, and losses.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())

__all__ = [
    "Agent",
    "AgentUnavailable",
    "ArenaFull",
    "AuthError",
    "Boundary",
    "CallbackWaits",
    "Chosen",
    "CrossmeshError",
    "Device",
    "LayoutError",
    "LocalCluster",
    "Mesh",
    "Move",
    "Nic",
    "Op",
    "OpSpan",
    "PeerLost",
    "Plan",
    "PlanMismatch",
    "Receiver",
    "Schedule",
    "ScheduleError",
    "Sender",
    "Sharding",
    "Simulation",
    "StepMismatch",
    "TensorSpec",
    "Tls",
    "TooManySteps",
    "Topology",
    "Transfer",
    "TransferCancelled",
    "TransferCorrupted",
    "TransferSpan",
    "TransferTimeout",
    "UnitTask",
    "__version__",
    "connect",
    "plan",
    "schedule",
    "simulate",
]


def __getattr__(name: str) -> _Any:
    # The adapter imports JAX; whoever only plans does not pay for it.
    if name in ("jax", "pipeline"):
        import importlib

        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
