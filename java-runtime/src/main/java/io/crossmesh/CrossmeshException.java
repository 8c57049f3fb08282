package io.crossmesh;

/**
 * The one exception of crossmesh: a {@link Code} and a message that ends in what to do about it.
 */
public final class CrossmeshException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final Code code;

  public CrossmeshException(Code code, String message) {
    super(message);
    this.code = code;
  }

  public CrossmeshException(Code code, String message, Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  /** What kind of failure this is. */
  public Code code() {
    return code;
  }

  /** The message; never null for this class. */
  @Override
  public String getMessage() {
    return String.valueOf(super.getMessage());
  }
}
