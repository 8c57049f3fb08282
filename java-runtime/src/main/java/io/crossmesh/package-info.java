/** What every other package may use: the closed list of failures. Depends on nothing. */
@NullMarked
package io.crossmesh;

import org.jspecify.annotations.NullMarked;
