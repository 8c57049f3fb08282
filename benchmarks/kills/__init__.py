"""Agents that are killed or stopped in the middle of the paper's cases: `python -m kills` in benchmarks/."""
