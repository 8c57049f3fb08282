/**
 * The transport over gRPC streams at the Flight door: for hosts without UCX, and for networks that
 * nobody trusts, where the door's TLS protects what moves.
 *
 * <p>One call for each direction. Small messages travel whole; large ones are announced, and their
 * bytes follow when the receiver has named their place, so that nothing but what fits a call's
 * window is ever buffered. Threads of gRPC copy bytes from and to tiles; everything else happens on
 * the owner thread.
 */
@NullMarked
package io.crossmesh.flight.bulk;

import org.jspecify.annotations.NullMarked;
