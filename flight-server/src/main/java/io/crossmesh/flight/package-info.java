/**
 * The open door: an Arrow Flight service over this host's tensors, and the client by which agents
 * call each other. The only package that imports Arrow.
 */
@NullMarked
package io.crossmesh.flight;

import org.jspecify.annotations.NullMarked;
