"""Training over pipeline stages: what `crossmesh.pipeline` is made of. JAX is imported where a stage computes."""
