/**
 * From two layouts to a plan: decomposition into unit tasks, choice of senders and routes,
 * predicted times, the lower bound, the proof of coverage, and the plan's JSON. Pure and
 * deterministic: the same request gives the same plan and the same digest on every host.
 */
@NullMarked
package io.crossmesh.plan;

import org.jspecify.annotations.NullMarked;
