package io.crossmesh.flight;

import io.grpc.util.AdvancedTlsX509KeyManager;
import io.grpc.util.AdvancedTlsX509TrustManager;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.FileTime;
import java.security.GeneralSecurityException;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the files of TLS again when one of them has changed. gRPC's managers can do so by
 * themselves, but not more often than once a minute, and only if certificate and key both change.
 * What cannot be read, such as a key beside the certificate of another, leaves everything as it was
 * and is tried again.
 */
final class CertificateReload implements Runnable {
  private static final Logger LOG = LoggerFactory.getLogger(CertificateReload.class);

  private final TlsFiles files;
  private final AdvancedTlsX509KeyManager identity;
  private final List<AdvancedTlsX509TrustManager> trust;
  private List<FileTime> read = List.of();

  CertificateReload(
      TlsFiles files, AdvancedTlsX509KeyManager identity, List<AdvancedTlsX509TrustManager> trust) {
    this.files = files;
    this.identity = identity;
    this.trust = trust;
  }

  /** Reads them for the first time. */
  void first() throws IOException, GeneralSecurityException {
    load(times());
  }

  @Override
  public void run() {
    try {
      List<FileTime> now = times();
      if (!now.equals(read)) {
        load(now);
        LOG.info("certificates were read again from {}", files.certificate());
      }
    } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
      LOG.warn("the certificates have changed and cannot be read; the old ones stay", e);
    }
  }

  private void load(List<FileTime> times) throws IOException, GeneralSecurityException {
    identity.updateIdentityCredentials(files.certificate().toFile(), files.key().toFile());
    for (AdvancedTlsX509TrustManager manager : trust) {
      manager.updateTrustCredentials(files.authority().toFile());
    }
    read = times;
  }

  private List<FileTime> times() throws IOException {
    return List.of(
        Files.getLastModifiedTime(files.certificate()),
        Files.getLastModifiedTime(files.key()),
        Files.getLastModifiedTime(files.authority()));
  }
}
