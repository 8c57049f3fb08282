package io.crossmesh.fuzz;

/** The targets of the runtime. */
class RuntimeFuzzTest extends FuzzContract {}
