package io.crossmesh.flight;

import java.net.Socket;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;

/** Tells somebody of each client whose certificate is refused. */
final class CountingTrustManager extends X509ExtendedTrustManager {
  private final X509ExtendedTrustManager manager;
  private final Runnable refused;

  CountingTrustManager(X509ExtendedTrustManager manager, Runnable refused) {
    this.manager = manager;
    this.refused = refused;
  }

  @FunctionalInterface
  private interface Check {
    void run() throws CertificateException;
  }

  private void counted(Check check) throws CertificateException {
    try {
      check.run();
    } catch (CertificateException e) {
      refused.run();
      throw e;
    }
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket)
      throws CertificateException {
    counted(() -> manager.checkClientTrusted(chain, type, socket));
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine)
      throws CertificateException {
    counted(() -> manager.checkClientTrusted(chain, type, engine));
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
    counted(() -> manager.checkClientTrusted(chain, type));
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket)
      throws CertificateException {
    manager.checkServerTrusted(chain, type, socket);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine)
      throws CertificateException {
    manager.checkServerTrusted(chain, type, engine);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
    manager.checkServerTrusted(chain, type);
  }

  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return manager.getAcceptedIssuers();
  }
}
