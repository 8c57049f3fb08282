package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class MeshTest {
  @Test
  void hostsAreDistinctInOrderOfFirstAppearance() {
    Mesh mesh =
        new Mesh(
            List.of(2, 2),
            List.of(),
            List.of(
                new Device("b", 0), new Device("a", 0), new Device("b", 1), new Device("a", 1)));
    assertThat(mesh.hosts()).containsExactly("b", "a");
    assertThat(mesh.hostOf(3)).isEqualTo("a");
    assertThat(mesh).hasToString("2x2 mesh of hosts b, a");
  }

  @Test
  void devicesOfHostsAreCountedFromZeroOnEach() {
    assertThat(Mesh.ofHosts(List.of(2, 2), List.of("a", "b")).devices())
        .containsExactly(
            new Device("a", 0), new Device("a", 1), new Device("b", 0), new Device("b", 1));
  }

  @Test
  void hostsThatDoNotDivideTheDevicesAreRefused() {
    assertThatThrownBy(() -> Mesh.ofHosts(List.of(3), List.of("a", "b")))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("[3]")
        .hasMessageContaining("a, b");
  }

  @Test
  void wrongNumberOfDevicesIsRefused() {
    assertThatThrownBy(() -> new Mesh(List.of(2), List.of(), List.of(new Device("a", 0))))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("needs 2 devices but 1");
  }

  @Test
  void aDeviceCannotAppearTwice() {
    assertThatThrownBy(
            () -> new Mesh(List.of(2), List.of(), List.of(new Device("a", 0), new Device("a", 0))))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("a:0");
  }

  @Test
  void axisNamesAreAllOrNoneAndDistinct() {
    List<Device> devices = List.of(new Device("a", 0), new Device("a", 1));
    assertThatThrownBy(() -> new Mesh(List.of(2, 1), List.of("x"), devices))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> new Mesh(List.of(2, 1), List.of("x", "x"), devices))
        .isInstanceOf(CrossmeshException.class);
    assertThat(new Mesh(List.of(2, 1), List.of("x", "y"), devices).withoutAxisNames().axisNames())
        .isEmpty();
  }

  @Test
  void hugeAndEmptyAxesAreRefusedBeforeAnythingIsAllocated() {
    int large = 1 << 30;
    assertThatThrownBy(() -> new Mesh(List.of(large, large, large), List.of(), List.of()))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> Mesh.ofHosts(List.of(large, large, large), List.of("a")))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> new Mesh(List.of(0), List.of(), List.of()))
        .isInstanceOf(CrossmeshException.class);
    List<Integer> many = Collections.nCopies(Mesh.MAX_AXES + 1, 1);
    assertThatThrownBy(() -> new Mesh(many, List.of(), List.of()))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("at most 65536");
  }

  @Test
  void aMeshHasAsManyAxesAsItsMakerWrites() {
    assertThat(Mesh.ofHosts(Collections.nCopies(16, 2), List.of("a")).size()).isEqualTo(65_536);
    assertThat(Mesh.ofHosts(Collections.nCopies(1000, 1), List.of("a")).size()).isEqualTo(1);
  }

  @Test
  void badDevicesAreRefused() {
    assertThatThrownBy(() -> new Device(" ", 0)).isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> new Device("a", -1)).isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> new Device("a\nb", 0)).isInstanceOf(CrossmeshException.class);
  }

  @Test
  void aMeshWithoutAxesIsOneDevice() {
    assertThat(Mesh.ofHosts(List.of(), List.of("a")).size()).isEqualTo(1);
  }
}
