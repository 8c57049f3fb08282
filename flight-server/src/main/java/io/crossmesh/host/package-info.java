/**
 * What the operating system says of this host: its NICs, and who holds a port. Depends on nothing
 * but the failures of crossmesh.
 */
@NullMarked
package io.crossmesh.host;

import org.jspecify.annotations.NullMarked;
