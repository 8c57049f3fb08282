package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DTypeTest {
  @ParameterizedTest
  @CsvSource({
    "bool,1",
    "int4,1",
    "uint2,1",
    "int8,1",
    "uint64,8",
    "float16,2",
    "bfloat16,2",
    "float32,4",
    "float64,8",
    "float128,16",
    "complex64,8",
    "complex128,16",
    "complex256,32",
    "int1,1",
    "bcomplex32,4",
    "float8_e4m3fn,1",
    "float8_e5m2fnuz,1",
    "float8_e8m0fnu,1",
    "float6_e2m3fn,1",
    "float4_e2m1fn,1",
    "datetime64[ns],8",
    "timedelta64[25us],8",
    "datetime64,8"
  })
  void sizesAreThoseOfNumPyAndMlDtypes(String name, int bytes) {
    assertThat(DType.of(name)).isEqualTo(new DType(name, bytes));
  }

  @Test
  void longdoubleIsAnotherNameOfFloat128() {
    assertThat(DType.of("longdouble").name()).isEqualTo("float128");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "object", "float33", "datetime64[parsec]", "S4", "datetime64[ns]]", "Int8"})
  void unknownNamesAreRefusedWithTheKnownOnes(String name) {
    assertThatThrownBy(() -> DType.of(name))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT))
        .hasMessageContaining("bfloat16");
  }

  @Test
  void wrongSizeIsRefused() {
    assertThatThrownBy(() -> new DType("int32", 8))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("4 bytes, not 8");
  }
}
