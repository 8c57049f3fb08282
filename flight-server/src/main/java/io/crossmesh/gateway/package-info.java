/**
 * The door for the Python client of this host: a Py4J server on loopback with a token and one
 * narrow entry point. Requests and events only, never tensor bytes. The only package that imports
 * Py4J.
 */
@NullMarked
package io.crossmesh.gateway;

import org.jspecify.annotations.NullMarked;
