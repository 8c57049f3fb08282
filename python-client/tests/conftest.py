"""Four CPU devices for JAX, and one cache of what is compiled: the variables must be set before anything imports it."""

import os
import tempfile

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

# Compiling is most of what the trainings take. Their processes, and those of the examples, find here what others of
# the same run have compiled; a run finds nothing of another.
_COMPILED = tempfile.TemporaryDirectory(prefix="crossmesh-compiled-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_unconfigure():
    """Remove the cache."""
    _COMPILED.cleanup()
