"""The closed list of failures. Each class answers to one `Code` of the Java side, but for `CallbackWaits`."""

from __future__ import annotations


class CrossmeshError(Exception):
    """Base of everything that crossmesh raises. Raised itself only for a mistake of crossmesh."""


class LayoutError(CrossmeshError, ValueError):
    """A layout does not fit the tensor, the mesh or what the receiver can hold."""


class PlanMismatch(CrossmeshError, ValueError):
    """The two ends of a channel state different tensors or planned from different inputs."""


class StepMismatch(CrossmeshError):
    """The two ends of a channel are at different steps."""


class PeerLost(CrossmeshError):
    """A host or a trainer process that takes part in the transfer is gone."""


class AgentUnavailable(CrossmeshError, ConnectionError):
    """The agent (or the planner's JVM) cannot be started or reached."""


class TransferTimeout(CrossmeshError, TimeoutError):
    """The transfer did not end within its limit and is dead on every host.

    `result(timeout)` that runs out raises a bare `TimeoutError` instead, and the transfer lives on.
    """


class TransferCancelled(CrossmeshError):
    """A party cancelled the step, aborted the channel or closed it."""


class TransferCorrupted(CrossmeshError):
    """Bytes arrived otherwise than they were sent, and sending them again did not help."""


class TooManySteps(CrossmeshError):
    """More steps are posted than are kept; wait for some to end before posting more."""


class CallbackWaits(CrossmeshError, RuntimeError):
    """A callback waits on the thread that would bring what it waits for."""


class ArenaFull(CrossmeshError):
    """The shared-memory arena of a host cannot hold what a channel needs."""


class AuthError(CrossmeshError, PermissionError):
    """A wrong or missing token."""


class ScheduleError(CrossmeshError, ValueError):
    """A pipeline schedule that cannot be: its shape, its times, or the memory it needs."""


_BY_NAME: dict[str, type[CrossmeshError]] = {
    cls.__name__: cls
    for cls in (
        CrossmeshError,
        LayoutError,
        PlanMismatch,
        StepMismatch,
        PeerLost,
        AgentUnavailable,
        TransferTimeout,
        TransferCancelled,
        TransferCorrupted,
        TooManySteps,
        CallbackWaits,
        ArenaFull,
        AuthError,
        ScheduleError,
    )
}


def error_of(code: str, message: str) -> CrossmeshError:
    """The exception for a code as it crosses the gateway; an unknown code keeps its name in the text."""
    cls = _BY_NAME.get(code)
    if cls is None:
        return CrossmeshError(f"{code}: {message}")
    return cls(message)
