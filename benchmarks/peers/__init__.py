"""crossmesh and what else moves tensors between processes: the same layouts, the same bytes, in turns."""
