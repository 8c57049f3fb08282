/** The agent process: command line, configuration and the wiring of its parts. */
@NullMarked
package io.crossmesh.agent;

import org.jspecify.annotations.NullMarked;
