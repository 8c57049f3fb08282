package io.crossmesh.flight;

import io.crossmesh.Code;
import java.util.Optional;
import java.util.function.Predicate;
import org.apache.arrow.flight.CallHeaders;
import org.apache.arrow.flight.auth2.CallHeaderAuthenticator;
import org.jspecify.annotations.Nullable;

/**
 * Lets a call in whose header says {@code authorization: Bearer TOKEN}; every call is asked.
 * Whether the token is right is decided by a predicate that takes the same time for every wrong
 * one.
 */
final class BearerAuthenticator implements CallHeaderAuthenticator {
  private static final String HEADER = "authorization";
  private static final String SCHEME = "Bearer ";

  private final Predicate<String> token;
  private final Runnable refused;

  BearerAuthenticator(Predicate<String> token, Runnable refused) {
    this.token = token;
    this.refused = refused;
  }

  @Override
  public AuthResult authenticate(CallHeaders headers) {
    Optional<String> refusal = refusal(headers.get(HEADER));
    if (refusal.isPresent()) {
      throw StatusBridge.toStatus(Code.AUTH, refusal.get()).toRuntimeException();
    }
    // Nothing is sent back: the default would echo the token into every answer.
    return () -> "token";
  }

  /** Why a call with this header is turned away, which is counted; empty if it is let in. */
  Optional<String> refusal(@Nullable String header) {
    boolean bearer = header != null && header.regionMatches(true, 0, SCHEME, 0, SCHEME.length());
    if (header != null && bearer && token.test(header.substring(SCHEME.length()).strip())) {
      return Optional.empty();
    }
    refused.run();
    return Optional.of(
        bearer
            ? "the token is wrong; use the one the cluster was started with ($CROSSMESH_TOKEN)."
            : "a token is needed: send the header 'authorization: Bearer TOKEN'.");
  }
}
