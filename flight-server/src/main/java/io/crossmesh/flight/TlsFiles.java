package io.crossmesh.flight;

import java.nio.file.Path;

/**
 * Where the certificates of a door lie, as PEM. They are read again every {@link
 * TlsDoor#RELOAD_SECONDS} seconds, so replacing the files renews them without a restart.
 *
 * @param certificate this agent's chain, its own certificate first; its names include the address
 *     under which others reach the door
 * @param key this agent's private key, PKCS #8
 * @param authority the certificates that sign those of agents and clients
 * @param clientsProveThemselves whether a client without a certificate of the authority is refused
 *     before it can say anything
 */
public record TlsFiles(
    Path certificate, Path key, Path authority, boolean clientsProveThemselves) {}
