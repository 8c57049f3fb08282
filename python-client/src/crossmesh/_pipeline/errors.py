"""What only training can fail with."""

from __future__ import annotations

from .._errors import CrossmeshError


class NonFiniteLoss(CrossmeshError, FloatingPointError):
    """The loss of a step is not a finite number. Raised on every process; the parameters are as before the step."""
