package io.crossmesh.agent;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.TlsFiles;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options of {@code agent} that protect its Flight door. */
final class TlsOptions {
  @Option(
      names = "--tls-cert",
      paramLabel = "FILE",
      description = "PEM: this agent's certificate chain. With it, Flight speaks TLS only.")
  private @Nullable Path certificate;

  @Option(
      names = "--tls-key",
      paramLabel = "FILE",
      description = "PEM: the private key (PKCS #8) of --tls-cert.")
  private @Nullable Path key;

  @Option(
      names = "--tls-ca",
      paramLabel = "FILE",
      description = "PEM: the authority that signs the certificates of agents and clients.")
  private @Nullable Path authority;

  @Option(
      names = "--tls-clients",
      defaultValue = "require",
      paramLabel = "require|any",
      description =
          "Whether Flight's clients need a certificate of the authority. Default: ${DEFAULT-VALUE}.")
  private Clients clients = Clients.REQUIRE;

  /** Whom a door with TLS lets in. */
  enum Clients {
    REQUIRE,
    ANY
  }

  /**
   * The files, if any is named.
   *
   * @throws CrossmeshException with {@link Code#AUTH} if only some of them are
   */
  Optional<TlsFiles> freeze() {
    Path chain = certificate;
    Path secret = key;
    Path signer = authority;
    if (chain != null && secret != null && signer != null) {
      return Optional.of(new TlsFiles(chain, secret, signer, clients == Clients.REQUIRE));
    }
    if (chain == null && secret == null && signer == null) {
      return Optional.empty();
    }
    throw new CrossmeshException(
        Code.AUTH, "TLS needs all of --tls-cert, --tls-key and --tls-ca; give them, or none.");
  }
}
