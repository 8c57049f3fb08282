/**
 * Channels between meshes: how a plan is carried out, step after step, by the agents of its hosts.
 *
 * <p>{@link io.crossmesh.transfer.TransferEngine} is a thing that does work when it is asked to; it
 * sees a {@link io.crossmesh.transfer.Clock}, a {@link io.crossmesh.transfer.Transport}, the arena
 * and a queue of commands, and nothing else: no thread, no socket, no other clock. So the whole of
 * it runs in a simulation. Only {@link io.crossmesh.transfer.OwnerThread} touches a thread.
 * Concrete transports live in packages below; this one never names them.
 */
@NullMarked
package io.crossmesh.transfer;

import org.jspecify.annotations.NullMarked;
