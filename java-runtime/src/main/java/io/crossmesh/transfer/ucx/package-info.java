/**
 * The transport over UCX, by JUCX: one worker that one thread owns. The only package that may name
 * {@code org.openucx}.
 *
 * <p>Rules that hold in every class here, because UCX is native code that cannot be told apart from
 * this process when it fails:
 *
 * <ul>
 *   <li>every call of a worker comes from the thread that progresses it, {@code signal()} apart;
 *   <li>memory whose address UCX knows, and objects that UCX calls back, stay strongly reachable
 *       until UCX has said that it is done with them;
 *   <li>the memory type is always stated: what UCX would do with "unknown" changes by version;
 *   <li>callbacks never throw and never progress the worker.
 * </ul>
 */
@NullMarked
package io.crossmesh.transfer.ucx;

import org.jspecify.annotations.NullMarked;
