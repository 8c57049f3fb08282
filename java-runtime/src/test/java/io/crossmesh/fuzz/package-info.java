/**
 * What reads bytes of strangers, fed with damaged ones. {@link io.crossmesh.fuzz.FuzzTargets} are
 * found by the service loader, so that each module brings its own.
 */
package io.crossmesh.fuzz;
