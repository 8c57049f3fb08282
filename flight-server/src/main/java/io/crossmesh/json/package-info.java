/**
 * Making the small JSON documents that leave through the agent's doors. Depends on Jackson alone.
 */
@NullMarked
package io.crossmesh.json;

import org.jspecify.annotations.NullMarked;
