package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.HostPort;
import io.crossmesh.transfer.EngineOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

class OptionsTest {
  private static final String TOKEN = "a-token-of-the-tests";

  @TempDir Path directory;

  @ParameterizedTest
  @CsvSource({"1GiB,1073741824", "64MiB,67108864", "1.5KiB,1536", "2GB,2000000000", "4096,4096"})
  void sizesAreReadAsPeopleWriteThem(String text, long bytes) {
    assertThat(DataSize.parse(text).bytes()).isEqualTo(bytes);
    assertThat(DataSize.parse(DataSize.parse(text).toString()).bytes()).isEqualTo(bytes);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "GiB", "-1MiB", "1.5", "1XB", "9999999999TiB"})
  void otherSizesAreRefused(String text) {
    assertThatIllegalArgumentException().isThrownBy(() -> DataSize.parse(text));
  }

  @Test
  void addressesAreHostAndPort() {
    assertThat(HostPort.parse("127.0.0.1:4711")).isEqualTo(new HostPort("127.0.0.1", 4711));
    assertThat(HostPort.parse("[::1]:1").toString()).isEqualTo("[::1]:1");
    for (String wrong : new String[] {"", "a", "a:", ":1", "a:0", "a:65536", "::1:5", "a:b"}) {
      assertThatIllegalArgumentException().as(wrong).isThrownBy(() -> HostPort.parse(wrong));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"203.0.113.7", "8.8.8.8", "100.128.0.1", "2001:db8::1", "172.32.0.1"})
  void ucxDoesNotListenOnAPublicAddressUnlessToldTo(String address) {
    assertThatThrownBy(() -> parse(agent("--bind", address)))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining(address)
        .hasMessageContaining("--allow-public");
    assertThat(parse(agent("--bind", address, "--allow-public")).bind()).isEqualTo(address);
    assertThat(parse(agent("--bind", address, "--transport", "none")).bind()).isEqualTo(address);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"127.0.0.1", "10.1.2.3", "192.168.0.9", "172.31.0.1", "100.64.0.1", "fd00::1"})
  void privateAddressesNeedNoWord(String address) {
    assertThat(parse(agent("--bind", address)).bind()).isEqualTo(address);
  }

  @Test
  void streamsOnAPublicAddressNeedCertificates() {
    List<String> open = List.of("--bind", "8.8.8.8", "--transport", "flight");
    assertThatThrownBy(() -> parse(agent(open.toArray(String[]::new))))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("--tls-cert");
    List<String> closed = new ArrayList<>(open);
    closed.addAll(List.of("--tls-cert", "a.pem", "--tls-key", "a.key", "--tls-ca", "ca.pem"));
    assertThat(parse(agent(closed.toArray(String[]::new))).transport())
        .isEqualTo(AgentConfig.TransportKind.FLIGHT);
  }

  @Test
  void halfOfTlsIsRefused() {
    assertThatThrownBy(() -> parse(agent("--tls-cert", "a.pem")))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("--tls-key");
  }

  @Test
  void defaultsAreThoseOfTheHelp() {
    AgentConfig config = parse(agent());
    assertThat(config.bind()).isEqualTo("127.0.0.1");
    assertThat(config.flightPort()).isZero();
    assertThat(config.arena()).isEqualTo(DataSize.parse("1GiB"));
    assertThat(config.transport()).isEqualTo(AgentConfig.TransportKind.UCX);
    assertThat(config.peers()).isEmpty();
    assertThat(config.checksums()).isFalse();
    assertThat(config.lostAfterNanos()).isEqualTo(EngineOptions.SILENCE_NANOS);
    assertThat(config.spares()).isTrue();
    assertThat(parse(agent("--spares", "off")).spares()).isFalse();
    assertThat(config.exitWithStdin()).isFalse();
    assertThat(config.token().matches(TOKEN)).isTrue();
  }

  @ParameterizedTest
  @CsvSource({
    "127.0.0.1,auto,false",
    "localhost,auto,false",
    "::1,AUTO,false",
    "10.1.2.3,auto,true",
    "127.0.0.1,on,true",
    "10.1.2.3,off,false"
  })
  void checksumsAreOnWhereBytesLeaveTheMachine(String bind, String said, boolean on) {
    assertThat(parse(agent("--bind", bind, "--checksums", said)).checksums()).isEqualTo(on);
  }

  @Test
  void theFileGivesWhatTheCommandLineDoesNot() throws IOException {
    Path file = directory.resolve("agent.properties");
    Files.writeString(
        file,
        "name = a\narena = 8MiB\npeer = b=127.0.0.1:1,c=127.0.0.1:2\ntransport = none\narena-dir="
            + directory);
    AgentConfig config = parse("--config", file.toString(), "--arena", "16MiB", "--info-file", "x");
    assertThat(config.name()).isEqualTo("a");
    assertThat(config.arena()).isEqualTo(DataSize.parse("16MiB"));
    assertThat(config.transport()).isEqualTo(AgentConfig.TransportKind.NONE);
    assertThat(config.peers()).extracting(peer -> peer.name()).containsExactly("b", "c");
  }

  @Test
  void aMisspeltKeyOfTheFileIsRefusedByName() throws IOException {
    Path file = directory.resolve("agent.properties");
    Files.writeString(file, "name=a\narean=8MiB\n");
    StringWriter errors = new StringWriter();
    int status =
        Main.commandLine()
            .setErr(new PrintWriter(errors))
            .execute("agent", "--config", file.toString(), "--info-file", "x");
    assertThat(status).isEqualTo(2);
    assertThat(errors.toString()).contains("arean");
  }

  @Test
  void peersNeedATokenThatAllShare() {
    assertThatThrownBy(() -> parse(Map.of(), agent("--peer", "a=127.0.0.1:1,b=127.0.0.1:2")))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.AUTH))
        .hasMessageContaining("CROSSMESH_TOKEN");
    assertThat(parse(Map.of(), agent("--peer", "a=127.0.0.1:1")).peers()).hasSize(1);
  }

  @Test
  void everyOptionIsInOneGroupOfTheHelp() {
    CommandLine agent = Objects.requireNonNull(Main.commandLine().getSubcommands().get("agent"));
    assertThat(
            agent.getCommandSpec().options().stream()
                .map(CommandLine.Model.OptionSpec::longestName))
        .containsExactlyInAnyOrderElementsOf(
            OptionGroups.GROUPS.values().stream().flatMap(List::stream).toList());
    assertThat(agent.getUsageMessage()).contains("Moving bytes:", "--flight-bytes");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "--arena|3X|'3X' is not a size",
        "--flight-port|x|'x' is not a whole number",
        "--lost-after|x|'x' is not a number",
        "--peer|b|'b' is not name=host:port",
        "--peer|b=1.2.3.4|'1.2.3.4' is not host:port",
        "--transport|carrier-pigeon|carrier-pigeon",
        "--config|/no/such/file|No such file or directory",
        "--bnd|10.0.0.1|Unknown option",
        "--lost-after|0.2|--lost-after is at least 1 second",
      })
  void aMistakeIsOneLineAndAHint(String option, String value, String says) {
    StringWriter errors = new StringWriter();
    String[] line = {"agent", "--name", "a", "--info-file", "x", option, value};
    assertThat(Main.commandLine().setErr(new PrintWriter(errors)).execute(line)).isEqualTo(2);
    assertThat(errors.toString().lines()).hasSize(2);
    assertThat(errors.toString())
        .startsWith("crossmesh agent: ")
        .contains(says)
        .contains("--help")
        .doesNotContain("java.", "Exception");
  }

  @ParameterizedTest
  @CsvSource({
    "--name,../x",
    "--name,''",
    "--flight-port,70000",
    "--arena,4KiB",
    "--lost-after,0.2",
    "--lost-after,NaN",
    "--arena-dir,/no/such/directory",
  })
  void whatCannotBeIsRefusedBeforeAnythingStarts(String option, String value) {
    assertThatThrownBy(() -> parse(agent(option, value))).isInstanceOf(CrossmeshException.class);
  }

  @Test
  void aTokenComesFromTheEnvironmentElseTheFileElseIsMade() throws IOException {
    Path file = directory.resolve("token");
    Files.writeString(file, "token-from-a-file\n");
    String[] line = agent("--token-file", file.toString());
    assertThat(parse(Map.of(), line).token().matches("token-from-a-file")).isTrue();
    assertThat(parse(line).token().matches(TOKEN)).isTrue();
    AgentConfig made = parse(Map.of(), agent());
    assertThat(made.token().reveal()).hasSize(64);
    assertThat(made.toString()).doesNotContain(made.token().reveal());
  }

  @Test
  void aWeakTokenIsRefused() {
    assertThatThrownBy(() -> parse(Map.of(AgentOptions.TOKEN_VARIABLE, "short"), agent()))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.AUTH));
  }

  /** What an agent cannot do without, and more. */
  private String[] agent(String... more) {
    String[] needed = {"--name", "a", "--info-file", "x", "--arena-dir", directory.toString()};
    return Stream.concat(Arrays.stream(needed), Arrays.stream(more)).toArray(String[]::new);
  }

  private AgentConfig parse(String... line) {
    return parse(Map.of(AgentOptions.TOKEN_VARIABLE, TOKEN), line);
  }

  private static AgentConfig parse(Map<String, String> environment, String... line) {
    CommandLine main = Main.commandLine();
    CommandLine agent = Objects.requireNonNull(main.getSubcommands().get("agent"));
    agent.setOverwrittenOptionsAllowed(true);
    main.parseArgs(Stream.concat(Stream.of("agent"), Arrays.stream(line)).toArray(String[]::new));
    return agent.<Main.AgentCommand>getCommand().freeze(environment);
  }
}
