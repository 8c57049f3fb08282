package io.crossmesh.flight;

import io.crossmesh.Code;
import java.util.function.Predicate;
import org.apache.arrow.flight.CallHeaders;
import org.apache.arrow.flight.auth2.CallHeaderAuthenticator;

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
    String header = headers.get(HEADER);
    boolean bearer = header != null && header.regionMatches(true, 0, SCHEME, 0, SCHEME.length());
    if (!bearer || !token.test(header.substring(SCHEME.length()).strip())) {
      refused.run();
      throw StatusBridge.toStatus(
              Code.AUTH,
              bearer
                  ? "the token is wrong; use the one the cluster was started with ($CROSSMESH_TOKEN)."
                  : "a token is needed: send the header 'authorization: Bearer TOKEN'.")
          .toRuntimeException();
    }
    // Nothing is sent back: the default would echo the token into every answer.
    return () -> "token";
  }
}
