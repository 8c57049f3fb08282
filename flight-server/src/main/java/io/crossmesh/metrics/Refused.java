package io.crossmesh.metrics;

import java.util.Locale;

/** What was wrong with those who were turned away at a door. */
public enum Refused {
  /** No token, or not the cluster's. */
  TOKEN,
  /** No certificate, or one that is not the authority's or not valid now. */
  CERTIFICATE,
  /** Any other handshake that came to nothing: no TLS spoken, a client that broke off. */
  HANDSHAKE,
  /** More calls or bytes at a time than one client may have. */
  QUOTA,
  /** A UCX connection that did not prove to know the token, or messages of none that did. */
  UCX;

  /** As metrics and status name it. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
