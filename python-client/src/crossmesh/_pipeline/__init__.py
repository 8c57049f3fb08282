"""Training over pipeline stages: what `crossmesh.pipeline` is made of. Whoever imports it imports JAX."""
