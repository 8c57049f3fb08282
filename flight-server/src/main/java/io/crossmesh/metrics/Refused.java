package io.crossmesh.metrics;

import java.util.Locale;

/** What was wrong with those who were turned away at the Flight door. */
public enum Refused {
  /** No token, or not the cluster's. */
  TOKEN,
  /** No certificate, or one that is not the authority's or not valid now. */
  CERTIFICATE,
  /** Any other handshake that came to nothing: no TLS spoken, a client that broke off. */
  HANDSHAKE;

  /** As metrics and status name it. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
