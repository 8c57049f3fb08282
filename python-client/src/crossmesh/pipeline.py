"""Training a model in stages over several processes: stages, a schedule, one step of all.

Needs JAX and an optax optimizer for stages that compute: `pip install "crossmesh[train]"`. They are imported on use.
"""

from ._pipeline.alpa import Layer, StagePlan
from ._pipeline.errors import BatchRefused, NonFiniteLoss
from ._pipeline.graph import Pipeline, Process, Value
from ._pipeline.links import Boundaries, Links, Wait
from ._pipeline.progress import Progress
from ._pipeline.running import Times
from ._pipeline.single import Single, single
from ._pipeline.stage import Stage, Tied, TimedStage
from ._pipeline.stats import StageStats, StepStats
from ._pipeline.trainer import Trainer

__all__ = [
    "BatchRefused",
    "Boundaries",
    "Layer",
    "Links",
    "NonFiniteLoss",
    "Pipeline",
    "Process",
    "Progress",
    "Single",
    "Stage",
    "StagePlan",
    "StageStats",
    "StepStats",
    "Tied",
    "TimedStage",
    "Times",
    "Trainer",
    "Value",
    "Wait",
    "single",
]
