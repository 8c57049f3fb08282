package io.crossmesh.mesh;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * An element type by the name that NumPy or ml_dtypes gives it. The runtime moves bytes and never
 * computes with them, so a name and a size are all there is. Types of fewer than eight bits lie one
 * byte an element, as ml_dtypes stores them.
 *
 * @param name the canonical name, as {@code str(numpy.dtype)} prints it
 * @param bytes size of one element
 */
public record DType(String name, int bytes) {
  private static final Pattern TIME =
      Pattern.compile(
          "(datetime64|timedelta64)(\\[[1-9]?[0-9]{0,8}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\\])?");

  private static final Map<String, Integer> SIZES = sizes();

  /** Other names of NumPy for a type of the table. */
  private static final Map<String, String> ALIASES =
      Map.of("bool_", "bool", "longdouble", "float128", "clongdouble", "complex256");

  public DType {
    if (sizeOf(name) != bytes) {
      throw Checks.layout(
          "An element of dtype %s has %d bytes, not %d.".formatted(name, sizeOf(name), bytes));
    }
  }

  /**
   * The type of this name.
   *
   * @throws io.crossmesh.CrossmeshException LAYOUT for a name that is neither NumPy's nor
   *     ml_dtypes'
   */
  public static DType of(String name) {
    String canonical = ALIASES.getOrDefault(name, name);
    return new DType(canonical, sizeOf(canonical));
  }

  private static int sizeOf(String name) {
    Integer size = SIZES.get(name);
    if (size != null) {
      return size;
    }
    if (name.length() <= 32 && TIME.matcher(name).matches()) {
      return Long.BYTES;
    }
    throw Checks.layout(
        "The dtype '%s' is unknown; use one of %s, or datetime64 and timedelta64 with a unit."
            .formatted(
                name.length() <= 64 ? name : name.substring(0, 64) + "...",
                String.join(", ", SIZES.keySet())));
  }

  private static Map<String, Integer> sizes() {
    Map<String, Integer> sizes = new TreeMap<>();
    put(
        sizes,
        1,
        "bool int1 uint1 int2 uint2 int4 uint4 int8 uint8 float4_e2m1fn float6_e2m3fn float6_e3m2fn"
            + " float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz"
            + " float8_e5m2 float8_e5m2fnuz float8_e8m0fnu");
    put(sizes, 2, "int16 uint16 float16 bfloat16");
    put(sizes, 4, "int32 uint32 float32 complex32 bcomplex32");
    put(sizes, 8, "int64 uint64 float64 complex64");
    put(sizes, 16, "float128 complex128");
    put(sizes, 32, "complex256");
    return Collections.unmodifiableMap(sizes);
  }

  private static void put(Map<String, Integer> sizes, int bytes, String names) {
    for (String name : names.split(" ", -1)) {
      sizes.put(name, bytes);
    }
  }

  @Override
  public String toString() {
    return name;
  }
}
