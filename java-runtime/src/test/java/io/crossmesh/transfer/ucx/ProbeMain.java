package io.crossmesh.transfer.ucx;

/** Prints what {@link UcxLibrary#probe} finds, twice: the second answer is the first. */
final class ProbeMain {
  private ProbeMain() {}

  public static void main(String[] args) {
    UcxLibrary.Probe first = UcxLibrary.probe();
    if (!UcxLibrary.probe().equals(first)) {
      throw new IllegalStateException("two answers");
    }
    System.out.println("probe " + first);
  }
}
