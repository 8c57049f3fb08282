"""Whole training steps over stages on the hosts of a lab: what a schedule hides, and what the simulator says of it."""
