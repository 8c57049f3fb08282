package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Says why a channel does not open. A process that did not come and a host that is not reached look
 * alike from here: no claim arrives. So each host that is waited for is named with the state of the
 * connection to it.
 */
final class OpeningReport {
  /** Hosts that one message names with their reasons; a cluster may have thousands. */
  private static final int HOSTS_MAX = 8;

  private static final String REMEDY =
      ". Open it on every process that holds devices of either mesh, with the same name.";

  private final Node node;
  private final Map<String, String> troubles = new LinkedHashMap<>();

  private OpeningReport(Node node) {
    this.node = node;
  }

  /** Devices are not claimed. */
  static String of(Node node, Matcher.Incomplete incomplete) {
    OpeningReport report = new OpeningReport(node);
    List<String> parts = new ArrayList<>();
    for (Matcher.Gap gap : incomplete.gaps()) {
      parts.add(gap.devices().isEmpty() ? report.side(gap.side()) : report.devices(gap));
    }
    return report.end(String.join("; ", parts));
  }

  /** All devices are claimed, but not all hosts are ready. */
  static String notReady(Node node, Collection<String> hosts) {
    OpeningReport report = new OpeningReport(node);
    hosts.forEach(report::look);
    return report.end("hosts %s did not get ready".formatted(hosts));
  }

  private String devices(Matcher.Gap gap) {
    gap.devices().keySet().forEach(this::look);
    return "%s devices %s are not claimed"
        .formatted(
            gap.side().word(),
            gap.devices().entrySet().stream()
                .map(each -> "%s of host '%s'".formatted(each.getValue(), each.getKey()))
                .collect(Collectors.joining(" and ")));
  }

  /** Nobody has claimed a device of a side, so nobody here knows on which hosts it lies. */
  private String side(Side side) {
    List<String> known = node.options().contacts().hosts();
    known.forEach(this::look);
    if (known.isEmpty()) {
      return "the %s side is not claimed on host '%s', and agent '%s' knows no other host; start it with --peer NAME=HOST:PORT for each if that side is elsewhere"
          .formatted(side.word(), node.host(), node.host());
    }
    if (troubles.isEmpty()) {
      return "no process has opened the %s side, on host '%s' or on its connected peers %s"
          .formatted(side.word(), node.host(), quoted(known));
    }
    List<String> reached = new ArrayList<>(List.of(node.host()));
    known.stream().filter(host -> !troubles.containsKey(host)).forEach(reached::add);
    return "the %s side is not claimed by any host that agent '%s' is connected to (%s)"
        .formatted(side.word(), node.host(), quoted(reached));
  }

  private void look(String host) {
    if (!host.equals(node.host()) && !reached(host)) {
      node.options().contacts().trouble(host).ifPresent(why -> troubles.put(host, why));
    }
  }

  private boolean reached(String host) {
    Peer peer = node.peers().ofHost(host);
    return peer != null && peer.answered();
  }

  private String end(String what) {
    if (troubles.isEmpty()) {
      return what + REMEDY;
    }
    StringBuilder text = new StringBuilder(what);
    int named = 0;
    for (Map.Entry<String, String> trouble : troubles.entrySet()) {
      if (named++ == HOSTS_MAX) {
        text.append(". %d more hosts are not connected".formatted(troubles.size() - HOSTS_MAX));
        break;
      }
      text.append(
          ". Host '%s' is not connected: %s".formatted(trouble.getKey(), trouble.getValue()));
    }
    return text.append(".").toString();
  }

  private static String quoted(Collection<String> hosts) {
    return new TreeSet<>(hosts)
        .stream()
            .limit(HOSTS_MAX)
            .map(host -> "'" + host + "'")
            .collect(Collectors.joining(", ", "", hosts.size() > HOSTS_MAX ? " ..." : ""));
  }
}
