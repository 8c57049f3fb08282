package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.contract.Flood;
import io.crossmesh.transfer.contract.OwnerNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A {@link OwnerNode} in a process of its own, told what to do by lines on its standard input:
 * "connect PEER ADDRESS", "send PEER COUNT BYTES WINDOW", "close". Ends with its input.
 */
final class PeerMain {
  private PeerMain() {}

  public static void main(String[] args) throws Exception {
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    OwnerNode node =
        new OwnerNode(Long.parseLong(args[0]), new UcxTransport(TestCluster.bind("127.0.0.1")));
    say("address " + node.transport.address());
    String line = commands.readLine();
    while (line != null && !line.equals("close")) {
      follow(node, List.of(line.split(" ")));
      line = commands.readLine();
    }
    node.close();
    say("closed " + node.errors());
  }

  private static void follow(OwnerNode node, List<String> words) throws Exception {
    switch (words.getFirst()) {
      case "connect" -> node.connect(Integer.parseInt(words.get(1)), words.get(2));
      case "send" -> {
        Flood flood =
            node.send(
                Integer.parseInt(words.get(1)),
                Long.parseLong(words.get(2)),
                Long.parseLong(words.get(3)),
                Integer.parseInt(words.get(4)),
                false);
        var _ = flood.result.thenAccept(failed -> say("sent, failed " + failed));
      }
      default -> throw new IllegalArgumentException(words.toString());
    }
  }

  private static void say(String line) {
    System.out.println("node " + line);
    System.out.flush();
  }
}
