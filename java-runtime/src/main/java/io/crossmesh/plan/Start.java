package io.crossmesh.plan;

/**
 * A chance to start the next piece of a lane.
 *
 * @param lane the lane
 * @param to the first host of the chain
 * @param position of that host among the lane's receiving hosts
 * @param fromCritical whether the sending NIC must not idle
 * @param toCritical whether the NIC of the first host must not idle
 * @param critical how much the start does for critical NICs, those down the chain included, and how
 *     early it is needed where that counts
 * @param load seconds that the first host has still to receive
 */
record Start(
    Lane lane,
    int to,
    int position,
    boolean fromCritical,
    boolean toCritical,
    int critical,
    double load) {
  int from() {
    return lane.from();
  }
}
