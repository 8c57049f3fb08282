"""What the trainers sent held against what the engine read, and the times of the routes."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Sums = tuple[int, ...]


class MixedWeights(AssertionError):
    """An answer was computed from weights that are not those of its version."""


@dataclass
class Record:
    """What the processes told, line by line."""

    sent: dict[int, Sums] = field(default_factory=dict)
    sent_at: dict[int, tuple[float, float]] = field(default_factory=dict)
    answers: list[tuple[int, int, Sums, float]] = field(default_factory=list)
    swaps: dict[int, float] = field(default_factory=dict)
    checks: list[Sums] = field(default_factory=list)
    starts: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, line: Mapping[str, Any]) -> None:
        """Takes one line."""
        match line["kind"]:
            case "sent":
                step, sums = line["step"], tuple(line["sums"])
                if self.sent.setdefault(step, sums) != sums:
                    raise MixedWeights(f"the two trainers do not agree on the weights of step {step}")
                before = self.sent_at.get(step, (line["start"], line["end"]))
                self.sent_at[step] = min(before[0], line["start"]), max(before[1], line["end"])
            case "answer":
                self.answers.append((line["process"], line["version"], tuple(line["sums"]), line["start"]))
            case "swap":
                self.swaps[line["version"]] = max(self.swaps.get(line["version"], 0.0), line["at"])
            case "check":
                self.checks.append(tuple(line["sums"]))
            case "start":
                self.starts[line["route"], line["round"]].append(line["at"])
            case "end":
                self.ends[line["route"], line["round"]].append(line["at"])

    def check(self) -> None:
        """Holds every answer and every timed transfer against what was sent.

        Raises:
            MixedWeights: an answer did not read the weights of its version, all of them and no others; a version was
                never answered with; or a timed transfer did not bring the last weights.
        """
        for process, version, sums, _ in self.answers:
            differing = _differing(sums, self.sent.get(version))
            if differing:
                raise MixedWeights(
                    f"engine {process} answered with version {version}, of which {differing} of {len(sums)} "
                    "parameters are not what the trainers had at that step"
                )
        answered = {version for _, version, _, _ in self.answers}
        if answered != self.sent.keys() or not answered:
            raise MixedWeights(f"versions {sorted(self.sent)} were sent and {sorted(answered)} answered with")
        last = self.sent[max(self.sent)]
        if any(_differing(sums, last) for sums in self.checks):
            raise MixedWeights("a timed transfer did not bring the last weights")

    @property
    def answers_meanwhile(self) -> int:
        """Answers that began with an old version while the next one was on its way."""
        steps = sorted(self.sent)
        arriving = dict(itertools.pairwise(steps))
        return sum(
            version in arriving and self.sent_at[arriving[version]][0] <= start
            for process, version, _, start in self.answers
            if process == 0
        )

    @property
    def seconds_live(self) -> list[float]:
        """For each refit but the first, from the first trainer's send to both engines' having the new weights."""
        return [self.swaps[step] - self.sent_at[step][0] for step in sorted(self.swaps)]

    def seconds(self, route: str) -> list[float]:
        """For each timed round of a route, from the first sender's start to when the last engine had it."""
        return [max(ends) - min(self.starts[key]) for key, ends in self.ends.items() if key[0] == route]

    def median(self, route: str) -> float:
        """The median of its rounds, in seconds."""
        return statistics.median(self.seconds(route))


def _differing(sums: Iterable[int], expected: Iterable[int] | None) -> int:
    """How many parameters differ; all of them if nothing was sent."""
    if expected is None:
        return len(tuple(sums))
    return sum(ours != theirs for ours, theirs in zip(sums, expected, strict=True))
