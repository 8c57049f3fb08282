package io.crossmesh.flight;

import io.crossmesh.mesh.DType;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;

/**
 * The Arrow type of a column that carries a tensor's elements. Types that Arrow lacks (bfloat16,
 * the 8-bit floats, complex numbers, ...) are FixedSizeBinary of the element's size, so that no
 * client mistakes them for numbers.
 */
final class ArrowTypes {
  private static final Pattern TIME = Pattern.compile("(datetime64|timedelta64)\\[(s|ms|us|ns)\\]");

  private ArrowTypes() {}

  static ArrowType of(DType dtype) {
    return switch (dtype.name()) {
      case "bool" -> ArrowType.Bool.INSTANCE;
      case "int8", "int16", "int32", "int64" -> new ArrowType.Int(8 * dtype.bytes(), true);
      case "uint8", "uint16", "uint32", "uint64" -> new ArrowType.Int(8 * dtype.bytes(), false);
      case "float16" -> new ArrowType.FloatingPoint(FloatingPointPrecision.HALF);
      case "float32" -> new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
      case "float64" -> new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE);
      default -> timeOrBytes(dtype);
    };
  }

  private static ArrowType timeOrBytes(DType dtype) {
    Matcher time = TIME.matcher(dtype.name());
    if (!time.matches()) {
      return new ArrowType.FixedSizeBinary(dtype.bytes());
    }
    TimeUnit unit =
        switch (time.group(2)) {
          case "s" -> TimeUnit.SECOND;
          case "ms" -> TimeUnit.MILLISECOND;
          case "us" -> TimeUnit.MICROSECOND;
          default -> TimeUnit.NANOSECOND;
        };
    return time.group(1).equals("datetime64")
        ? new ArrowType.Timestamp(unit, null)
        : new ArrowType.Duration(unit);
  }

  /**
   * Whether a column of this type carries the raw bytes of elements. Unsigned integers larger than
   * a byte do so only for elements of their size that Arrow has no type for: for others they may be
   * meant as numbers.
   */
  static boolean raw(ArrowType type, DType dtype) {
    return switch (type) {
      case ArrowType.Binary binary -> true;
      case ArrowType.LargeBinary binary -> true;
      case ArrowType.FixedSizeBinary binary -> true;
      case ArrowType.Int integer ->
          !integer.getIsSigned()
              && (integer.getBitWidth() == Byte.SIZE
                  || (integer.getBitWidth() == dtype.bytes() * Byte.SIZE
                      && of(dtype) instanceof ArrowType.FixedSizeBinary));
      default -> false;
    };
  }
}
