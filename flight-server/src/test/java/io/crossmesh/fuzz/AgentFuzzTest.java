package io.crossmesh.fuzz;

/** The targets of an agent's doors. */
class AgentFuzzTest extends FuzzContract {}
