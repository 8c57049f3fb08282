package io.crossmesh.flight;

import io.crossmesh.json.Json;
import io.crossmesh.mesh.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.BaseLargeVariableWidthVector;
import org.apache.arrow.vector.BaseVariableWidthVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;

/**
 * Between a column of Arrow and the packed bytes of a tensor's elements. Booleans are a bit each in
 * Arrow and a byte each in tensors; everything else has the same bytes in both.
 */
final class Columns {
  /** Where a field says that its type stands for another one, which Arrow here may not know. */
  private static final String EXTENSION_NAME = "ARROW:extension:name";

  private Columns() {}

  /**
   * Refuses a column that cannot be meant for elements of this type: it is either the type itself,
   * or raw bytes. What stands for other values than its buffer holds is neither.
   */
  static void check(Field field, DType dtype) {
    if (field.getDictionary() != null) {
      throw Json.bad(
          "a dictionary-encoded column holds indices, not elements of dtype %s; send the decoded values (in pyarrow: column.dictionary_decode())"
              .formatted(dtype));
    }
    String extension = field.getMetadata().get(EXTENSION_NAME);
    if (extension != null || field.getType() instanceof ArrowType.ExtensionType) {
      throw Json.bad(
          "a column of the extension type %s cannot carry elements of dtype %s; send its storage (in pyarrow: column.storage)"
              .formatted(extension == null ? field.getType() : "'" + extension + "'", dtype));
    }
    check(field.getType(), dtype);
  }

  private static void check(ArrowType column, DType dtype) {
    ArrowType expected = ArrowTypes.of(dtype);
    boolean same =
        column.equals(expected)
            || (column instanceof ArrowType.Timestamp given
                && expected instanceof ArrowType.Timestamp wanted
                && given.getUnit() == wanted.getUnit());
    if (!same && !ArrowTypes.raw(column, dtype)) {
      throw Json.bad(
          "a column of type %s cannot carry elements of dtype %s; send %s, or the raw bytes as uint8 or binary"
              .formatted(column, dtype, expected));
    }
  }

  /** How many bytes of elements a column has. */
  static long bytes(FieldVector column) {
    int rows = column.getValueCount();
    return switch (column) {
      case BitVector bits -> rows;
      case BaseFixedWidthVector fixed -> (long) rows * fixed.getTypeWidth();
      case BaseVariableWidthVector variable ->
          rows == 0 ? 0 : offset(variable, rows) - offset(variable, 0);
      case BaseLargeVariableWidthVector variable ->
          rows == 0 ? 0 : offset(variable, rows) - offset(variable, 0);
      default ->
          throw Json.bad("a column of type %s carries no elements".formatted(column.getField()));
    };
  }

  /** Copies all bytes of a column's elements to {@code out} at {@code at}. */
  static void read(FieldVector column, MemorySegment out, long at) {
    if (column.getNullCount() != 0) {
      throw Json.bad("the column has %d nulls; a tensor has none".formatted(column.getNullCount()));
    }
    long bytes = bytes(column);
    if (bytes == 0) {
      return;
    }
    MemorySegment data = memory(column.getDataBuffer());
    switch (column) {
      case BitVector bits -> unpackBits(data, bytes, out, at);
      case BaseVariableWidthVector variable ->
          MemorySegment.copy(data, offset(variable, 0), out, at, bytes);
      case BaseLargeVariableWidthVector variable ->
          MemorySegment.copy(data, offset(variable, 0), out, at, bytes);
      default -> MemorySegment.copy(data, 0, out, at, bytes);
    }
  }

  /** Makes {@code in}, packed elements of a type, the whole content of a column. */
  static void write(MemorySegment in, DType dtype, FieldVector column) {
    BaseFixedWidthVector vector = (BaseFixedWidthVector) column;
    int rows = Math.toIntExact(in.byteSize() / dtype.bytes());
    vector.allocateNew(rows);
    if (vector instanceof BitVector) {
      packBits(in, memory(vector.getDataBuffer()));
    } else {
      MemorySegment.copy(in, 0, memory(vector.getDataBuffer()), 0, in.byteSize());
    }
    ArrowBuf validity = vector.getValidityBuffer();
    validity.setOne(0, validity.capacity());
    vector.setValueCount(rows);
  }

  private static long offset(BaseVariableWidthVector column, int row) {
    return column.getOffsetBuffer().getInt((long) row * BaseVariableWidthVector.OFFSET_WIDTH);
  }

  private static long offset(BaseLargeVariableWidthVector column, int row) {
    return column.getOffsetBuffer().getLong((long) row * BaseLargeVariableWidthVector.OFFSET_WIDTH);
  }

  private static void unpackBits(MemorySegment bits, long count, MemorySegment out, long at) {
    for (long i = 0; i < count; i++) {
      int octet = bits.get(ValueLayout.JAVA_BYTE, i >>> 3);
      out.set(ValueLayout.JAVA_BYTE, at + i, (byte) ((octet >>> (i & 7)) & 1));
    }
  }

  private static void packBits(MemorySegment in, MemorySegment bits) {
    bits.fill((byte) 0);
    for (long i = 0; i < in.byteSize(); i++) {
      if (in.get(ValueLayout.JAVA_BYTE, i) != 0) {
        int octet = bits.get(ValueLayout.JAVA_BYTE, i >>> 3);
        bits.set(ValueLayout.JAVA_BYTE, i >>> 3, (byte) (octet | (1 << (i & 7))));
      }
    }
  }

  private static MemorySegment memory(ArrowBuf buffer) {
    return MemorySegment.ofAddress(buffer.memoryAddress()).reinterpret(buffer.capacity());
  }
}
