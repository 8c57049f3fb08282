"""What only training can fail with."""

from __future__ import annotations

from .._errors import CrossmeshError, LayoutError


class NonFiniteLoss(CrossmeshError, FloatingPointError):
    """The loss of a step is not a finite number. Raised on every process; the parameters are as before the step."""


class BatchRefused(LayoutError):
    """The batch of a process is not what the pipeline states.

    Raised on every process of the step; the parameters are as before it, and the next step may follow.
    """
