/**
 * What a client reads of a plan by the row, as Arrow files. Knows plans and Arrow's vectors,
 * neither a door nor the wiring.
 */
@NullMarked
package io.crossmesh.table;

import org.jspecify.annotations.NullMarked;
