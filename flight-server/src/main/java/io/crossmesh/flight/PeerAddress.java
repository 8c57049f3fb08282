package io.crossmesh.flight;

/** An agent of the cluster by its name and the address of its Flight door. */
public record PeerAddress(String name, HostPort address) {}
