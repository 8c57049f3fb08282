package io.crossmesh.transfer.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.openucx.jucx.NativeLibs;
import org.openucx.jucx.ucs.UcsConstants;

/**
 * Whether UCX can be used in this process, and which. Its libraries come from {@code
 * -Djava.library.path} or else from the system; JUCX carries only its own.
 */
public final class UcxLibrary {
  private static final String INSTALL =
      "install it with pip install 'crossmesh[ucx]' or apt-get install libucx0, or name the"
          + " directory of one in CROSSMESH_UCX";

  private static final String ANOTHER = "name the directory of another UCX in CROSSMESH_UCX";

  /** How the dynamic linker names a library that is not there. */
  private static final Pattern MISSING =
      Pattern.compile("(lib[^ :/]+): cannot open shared object file");

  private static final Version OLDEST = new Version(1, 13, 0);
  private static final Version NEWEST = new Version(1, 20, Integer.MAX_VALUE);

  private UcxLibrary() {}

  /** What {@link #probe} found. */
  public sealed interface Probe {}

  /** UCX is loaded. */
  public record Available(Version version) implements Probe {}

  /**
   * UCX cannot be used.
   *
   * @param reason why, and what to do about it
   */
  public record Unavailable(String reason) implements Probe {}

  /** A release of UCX, such as 1.20.1. */
  public record Version(int major, int minor, int patch) implements Comparable<Version> {
    @Override
    public int compareTo(Version other) {
      int byMajor = Integer.compare(major, other.major);
      int byMinor = byMajor != 0 ? byMajor : Integer.compare(minor, other.minor);
      return byMinor != 0 ? byMinor : Integer.compare(patch, other.patch);
    }

    @Override
    public String toString() {
      return major + "." + minor + "." + patch;
    }
  }

  /** Loads UCX, once a process, and says what came of it. Creates no UCX object. */
  public static Probe probe() {
    return Loaded.PROBE;
  }

  /**
   * The version of UCX.
   *
   * @throws CrossmeshException AGENT_UNAVAILABLE with the reason if it cannot be used
   */
  public static Version require() {
    return switch (probe()) {
      case Available(Version version) -> version;
      case Unavailable(String reason) ->
          throw new CrossmeshException(Code.AGENT_UNAVAILABLE, reason);
    };
  }

  static Probe judge(Version version) {
    if (version.compareTo(OLDEST) < 0 || version.compareTo(NEWEST) > 0) {
      return new Unavailable(
          "UCX %s was found, but versions 1.13 to 1.20 are needed: %s".formatted(version, INSTALL));
    }
    return new Available(version);
  }

  /**
   * What mends a failure to load, by what the loader says of it.
   *
   * @param cause in the words of the dynamic linker, or of JUCX, which unpacks its own library
   */
  static String remedy(String cause) {
    String temporary = System.getProperty("java.io.tmpdir", "the temporary directory");
    if (cause.contains("failed to map segment") || cause.contains("Operation not permitted")) {
      return "the file system of %s forbids execution (noexec); set TMPDIR, or -Djava.io.tmpdir of this JVM, to a directory that does not"
          .formatted(temporary);
    }
    if (cause.contains("extract") || cause.contains("temp directory")) {
      return "%s is not writable or is full; set TMPDIR, or -Djava.io.tmpdir of this JVM, to another directory"
          .formatted(temporary);
    }
    Matcher missing = MISSING.matcher(cause);
    if (missing.find()) {
      return missing.group(1).matches("libuc[pstm]\\.so.*")
          ? INSTALL
          : "install the library '%s', which it needs".formatted(missing.group(1));
    }
    return cause.contains("java.library.path") ? INSTALL : ANOTHER;
  }

  private static final class Loaded {
    static final Probe PROBE = load();

    private static Probe load() {
      try {
        NativeLibs.load();
        // Reads its values from the native library, and so fails here if that is not whole.
        if (UcsConstants.STATUS.UCS_OK != 0) {
          return new Unavailable("JUCX and UCX do not fit together: " + ANOTHER);
        }
        return judge(version());
      } catch (LinkageError | RuntimeException e) {
        String cause = cause(e);
        return new Unavailable("UCX cannot be loaded (%s): %s".formatted(cause, remedy(cause)));
      }
    }

    private static String cause(Throwable e) {
      Throwable deepest = e;
      while (deepest.getCause() != null) {
        deepest = deepest.getCause();
      }
      return String.valueOf(deepest.getMessage());
    }

    /** Asks the library that is loaded already: the loader finds it by its shared object name. */
    private static Version version() {
      try (Arena arena = Arena.ofConfined()) {
        MethodHandle getVersion =
            Linker.nativeLinker()
                .downcallHandle(
                    SymbolLookup.libraryLookup("libucp.so.0", arena).findOrThrow("ucp_get_version"),
                    FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, ADDRESS));
        MemorySegment numbers = arena.allocate(JAVA_INT, 3);
        getVersion.invokeExact(numbers.asSlice(0, 4), numbers.asSlice(4, 4), numbers.asSlice(8, 4));
        return new Version(
            numbers.getAtIndex(JAVA_INT, 0),
            numbers.getAtIndex(JAVA_INT, 1),
            numbers.getAtIndex(JAVA_INT, 2));
      } catch (RuntimeException | Error e) {
        throw e;
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }
  }
}
