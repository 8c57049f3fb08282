import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.crossmesh.memory.TileLayout;
import io.crossmesh.mesh.Box;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Packing and unpacking half the columns of a matrix, beside a C loop of memcpy over the same rows.
 *
 * <p>The two alternate over the same memory, 256 MiB of tile and 128 MiB packed, so neither the
 * last-level cache nor the machine's mood favours one. The ratio is the median over the rounds of
 * C's time over ours in that round: 1 is as fast as C. Run by {@code make bench-tiles}; the argument is the source of the C loop.
 */
public final class TileCopies {
  private static final long TILE_BYTES = 256L << 20;
  private static final long[] ROW_BYTES = {64, 128, 256, 512, 1024, 4096, 16384, 65536};
  private static final int REPEATS = 31;
  private static final int WARM_UPS = 5;

  /** Slowest that is still well: as a fraction of C's speed, by the length of a row. */
  private static double limit(long rowBytes) {
    return rowBytes >= 1024 ? 0.8 : rowBytes >= 256 ? 0.6 : 0;
  }

  /** A loop over rows, all in bytes. */
  private interface Rows {
    void copy(
        MemorySegment to, long toStride, MemorySegment from, long fromStride, long rows, long row);
  }

  private TileCopies() {}

  public static void main(String[] arguments) throws IOException, InterruptedException {
    Path work = Files.createTempDirectory("tiles");
    try (Arena arena = Arena.ofShared()) {
      Rows reference = reference(Path.of(arguments[0]), work.resolve("librows.so"), arena);
      MemorySegment tile = arena.allocate(TILE_BYTES, 4096).fill((byte) 1);
      MemorySegment packed = arena.allocate(TILE_BYTES / 2, 4096).fill((byte) 2);
      System.out.println("row bytes   way      C GB/s  crossmesh GB/s  ratio  limit");
      boolean well = true;
      for (long rowBytes : ROW_BYTES) {
        for (boolean pack : new boolean[] {true, false}) {
          well &= measure(reference, tile, packed, rowBytes, pack);
        }
      }
      System.out.println(well ? "all within their limits" : "not all within their limits");
    } finally {
      Files.deleteIfExists(work.resolve("librows.so"));
      Files.delete(work);
    }
  }

  private static boolean measure(
      Rows rowLoop, MemorySegment tile, MemorySegment packed, long rowBytes, boolean pack) {
    long rows = TILE_BYTES / (2 * rowBytes);
    Box whole = Box.of(new long[] {0, 0}, new long[] {rows, 2 * rowBytes});
    Box box = Box.of(new long[] {0, rowBytes / 2}, new long[] {rows, rowBytes / 2 + rowBytes});
    TileLayout layout = TileLayout.of(whole, box, 1);
    MemorySegment inTile = tile.asSlice(rowBytes / 2);
    Runnable reference =
        pack
            ? () -> rowLoop.copy(packed, rowBytes, inTile, 2 * rowBytes, rows, rowBytes)
            : () -> rowLoop.copy(inTile, 2 * rowBytes, packed, rowBytes, rows, rowBytes);
    Runnable own =
        pack
            ? () -> layout.pack(tile, 0, 0, layout.bytes(), packed, 0)
            : () -> layout.unpack(packed, 0, 0, layout.bytes(), tile, 0);
    double[] theirs = new double[REPEATS];
    double[] ours = new double[REPEATS];
    double[] ratios = new double[REPEATS];
    for (int run = -WARM_UPS; run < REPEATS; run++) {
      double their = layout.bytes() / nanoseconds(reference);
      double our = layout.bytes() / nanoseconds(own);
      if (run >= 0) {
        theirs[run] = their;
        ours[run] = our;
        ratios[run] = our / their;
      }
    }
    double ratio = median(ratios);
    System.out.printf(
        "%9d   %-6s  %7.2f  %14.2f  %5.2f  %5s%n",
        rowBytes,
        pack ? "pack" : "unpack",
        median(theirs),
        median(ours),
        ratio,
        limit(rowBytes) > 0 ? limit(rowBytes) : "");
    return ratio >= limit(rowBytes);
  }

  private static double nanoseconds(Runnable copy) {
    long begin = System.nanoTime();
    copy.run();
    return System.nanoTime() - begin;
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }

  /** The C loop, or where there is no C compiler, a loop here around libc's memcpy. */
  private static Rows reference(Path source, Path library, Arena arena)
      throws IOException, InterruptedException {
    Linker linker = Linker.nativeLinker();
    if (compiled(source, library)) {
      MethodHandle rows =
          linker.downcallHandle(
              SymbolLookup.libraryLookup(library, arena).find("copy_rows").orElseThrow(),
              FunctionDescriptor.ofVoid(
                  JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG));
      return (to, toStride, from, fromStride, count, row) -> {
        try {
          rows.invokeExact(to.address(), toStride, from.address(), fromStride, count, row);
        } catch (Throwable e) {
          throw new AssertionError(e);
        }
      };
    }
    System.out.println("no C compiler (cc): the reference is a loop around libc's memcpy instead");
    MethodHandle memcpy =
        linker.downcallHandle(
            linker.defaultLookup().find("memcpy").orElseThrow(),
            FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_LONG, JAVA_LONG));
    return (to, toStride, from, fromStride, count, row) -> {
      try {
        for (long i = 0; i < count; i++) {
          memcpy.invokeExact(to.address() + i * toStride, from.address() + i * fromStride, row);
        }
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    };
  }

  private static boolean compiled(Path source, Path library) throws InterruptedException {
    try {
      return new ProcessBuilder(
                  "cc", "-O2", "-shared", "-fPIC", "-o", library.toString(), source.toString())
              .inheritIO()
              .start()
              .waitFor()
          == 0;
    } catch (IOException noCompiler) {
      return false;
    }
  }
}
