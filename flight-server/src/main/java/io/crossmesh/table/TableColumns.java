package io.crossmesh.table;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/** The columns of a table in order, and how the values of a row get into them. */
final class TableColumns {
  private static final ArrowType INT = new ArrowType.Int(Integer.SIZE, true);
  private static final ArrowType LONG = new ArrowType.Int(Long.SIZE, true);
  private static final ArrowType DOUBLE =
      new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE);

  private TableColumns() {}

  /** Collects the columns of a schema. */
  static final class Fields {
    private final List<Field> fields = new ArrayList<>();

    Fields number(String name) {
      return plain(name, INT);
    }

    Fields large(String name) {
      return plain(name, LONG);
    }

    Fields seconds(String name) {
      return plain(name, DOUBLE);
    }

    Fields numbers(String name) {
      return list(name, INT);
    }

    Fields box(String name) {
      return list(name, LONG);
    }

    Schema schema() {
      return new Schema(fields);
    }

    private Fields plain(String name, ArrowType type) {
      fields.add(new Field(name, FieldType.notNullable(type), null));
      return this;
    }

    private Fields list(String name, ArrowType type) {
      Field item = new Field("item", FieldType.notNullable(type), null);
      fields.add(new Field(name, FieldType.notNullable(ArrowType.List.INSTANCE), List.of(item)));
      return this;
    }
  }

  /** Sets the values of one row after another, column by column. */
  static final class Row {
    private final List<FieldVector> columns;
    private int row = -1;
    private int column;

    Row(VectorSchemaRoot root) {
      columns = root.getFieldVectors();
    }

    /** Turns to the next row. */
    Row next() {
      row++;
      column = 0;
      return this;
    }

    Row number(int value) {
      ((IntVector) columns.get(column++)).setSafe(row, value);
      return this;
    }

    Row large(long value) {
      ((BigIntVector) columns.get(column++)).setSafe(row, value);
      return this;
    }

    Row seconds(double value) {
      ((Float8Vector) columns.get(column++)).setSafe(row, value);
      return this;
    }

    Row numbers(List<Integer> values) {
      ListVector list = (ListVector) columns.get(column++);
      IntVector items = (IntVector) list.getDataVector();
      int at = list.startNewValue(row);
      for (int value : values) {
        items.setSafe(at++, value);
      }
      list.endValue(row, values.size());
      return this;
    }

    /** As {@code lo, hi} of each dimension. */
    Row box(Box box) {
      ListVector list = (ListVector) columns.get(column++);
      BigIntVector items = (BigIntVector) list.getDataVector();
      int at = list.startNewValue(row);
      for (int d = 0; d < box.rank(); d++) {
        items.setSafe(at++, box.lo(d));
        items.setSafe(at++, box.hi(d));
      }
      list.endValue(row, 2 * box.rank());
      return this;
    }
  }
}
