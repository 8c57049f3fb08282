package io.crossmesh.plan;

import java.util.ArrayDeque;
import java.util.List;

/**
 * The pieces of one sender for the same receiving hosts and of one class of deadlines, in their
 * natural order.
 */
final class Lane {
  private final int number;
  private final int from;
  private final List<Integer> to;
  private final int receivers;
  private final boolean ring;
  private final int urgency;
  private final ArrayDeque<Piece> pieces = new ArrayDeque<>();
  private double all;
  private double left;

  Lane(int number, int from, List<Integer> to, boolean ring, int urgency) {
    this.number = number;
    this.from = from;
    this.to = to;
    receivers = to.size();
    this.ring = ring;
    this.urgency = urgency;
  }

  void add(Piece piece) {
    pieces.add(piece);
    all += piece.bytes();
    left += piece.bytes();
  }

  Piece take() {
    Piece piece = pieces.remove();
    left -= piece.bytes();
    return piece;
  }

  boolean isEmpty() {
    return pieces.isEmpty();
  }

  /** The class of its deadlines. */
  int urgency() {
    return urgency;
  }

  /** Position among all lanes. */
  int number() {
    return number;
  }

  /** The sending host. */
  int from() {
    return from;
  }

  /** The receiving hosts. */
  List<Integer> to() {
    return to;
  }

  /** How many receiving hosts there are. */
  int receivers() {
    return receivers;
  }

  /** Whether the first of them gets the pieces first and they go round a ring from there. */
  boolean ring() {
    return ring;
  }

  /** The hosts that the sender may send to. */
  List<Integer> firsts() {
    return ring ? to.subList(0, 1) : to;
  }

  /** Size of the piece that goes next, in bytes. */
  long next() {
    return pieces.element().bytes();
  }

  /** The part of its bytes that has not started. */
  double behind() {
    return left / all;
  }
}
