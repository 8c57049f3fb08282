package io.crossmesh.schedule;

import java.util.List;

/**
 * How a stage chooses among what it could do, for {@link GreedyDispatcher}: backwards first, since
 * they free memory and the stage before waits for them; then forwards below the limit, then weight
 * gradients.
 *
 * @param limits for each stage how many micro-batches (of one virtual stage each) it may hold
 * @param weightsFirst weight gradients before forwards
 * @param patience what a stage does while a better input is on its way: 0 starts what it has, 1
 *     waits rather than start a weight gradient that would end too late, 2 also rather than a
 *     forward
 */
record Policy(List<Integer> limits, boolean weightsFirst, int patience) {
  Policy {
    limits = List.copyOf(limits);
  }
}
