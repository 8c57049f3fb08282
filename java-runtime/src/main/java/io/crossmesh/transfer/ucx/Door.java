package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.SecureRandom;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxCallback;
import org.openucx.jucx.ucp.UcpConstants;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpRequest;

/**
 * Lets connections in whose other end knows the cluster's secret, and shows that this end does. A
 * {@link Link} says hello with a nonce; who is called answers with one of its own and a proof over
 * both; the link answers with its proof. Before that nothing else of a connection is looked at, and
 * afterwards its messages carry a number that only these two can know.
 *
 * <p>All three travel in the place of the engine's header. A rendezvous is used for each, as its
 * end at the sender says that it was taken.
 */
final class Door {
  /** How long a connection may take to prove itself. */
  static final long PROOF_NANOS_MAX = 10_000_000_000L;

  /** Most connections that have not proved themselves. */
  static final int UNPROVEN_MAX = 1024;

  private static final int FORGOTTEN_MAX = 1024;

  private final SecureRandom random = new SecureRandom();
  private final UcxWorker ucx;
  private final ClusterSecret secret;
  private final Runnable refused;

  /** Links of ours that wait for an answer, by their number. */
  private final Map<Long, Link> greeting = new HashMap<>();

  private final Map<Long, Guest> guests = new HashMap<>();

  /** Labels of connections that have ended, of which a last message may come. */
  private final Map<Long, Boolean> forgotten =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, Boolean> eldest) {
          return size() > FORGOTTEN_MAX;
        }
      };

  /** Who has said hello and not yet proved anything. */
  private record Guest(ClusterSecret.Meeting meeting, long endpointId) {}

  /** Who is let in. */
  record Admitted(long label, long endpointId) {}

  Door(UcxWorker ucx, UcxOptions options) {
    this.ucx = ucx;
    this.secret = options.secret();
    this.refused = options.refused();
  }

  byte[] nonce() {
    byte[] nonce = new byte[ClusterSecret.NONCE_BYTES];
    random.nextBytes(nonce);
    return nonce;
  }

  ClusterSecret secret() {
    return secret;
  }

  void refuse() {
    refused.run();
  }

  void expect(long link, Link by) {
    greeting.put(link, by);
  }

  void unexpect(long link) {
    greeting.remove(link);
  }

  /** A stranger says hello; it is answered with what it has to sign. */
  void greet(long link, MemorySegment header, UcpEndpoint replyTo) {
    if (guests.size() >= UNPROVEN_MAX || guests.containsKey(link)) {
      refuse();
      return;
    }
    var meeting =
        new ClusterSecret.Meeting(link, bytes(header, 0, ClusterSecret.NONCE_BYTES), nonce());
    guests.put(link, new Guest(meeting, replyTo.getNativeId()));
    MemorySegment answer = blank();
    put(answer, 0, meeting.called());
    put(answer, ClusterSecret.NONCE_BYTES, secret.ofCalled(meeting));
    ucx.deferred.later(
        () -> {
          // Its endpoint may have been closed meanwhile.
          if (guests.containsKey(link)) {
            new Answer(link, answer).post(replyTo);
          }
        });
  }

  /** The endpoint of guests is closed. */
  void ended(long endpointId) {
    guests.values().removeIf(guest -> guest.endpointId == endpointId);
  }

  /** The one who was called answers a link of ours. */
  void answered(long link, MemorySegment header) {
    Link by = greeting.remove(link);
    if (by == null) {
      refuse();
    } else {
      by.answered(
          bytes(header, 0, ClusterSecret.NONCE_BYTES),
          bytes(header, ClusterSecret.NONCE_BYTES, ClusterSecret.PROOF_BYTES));
    }
  }

  /** A guest proves itself; null if it does not. */
  @Nullable Admitted admit(long link, MemorySegment header) {
    Guest guest = guests.remove(link);
    if (guest == null
        || !ClusterSecret.same(
            secret.ofCaller(guest.meeting), bytes(header, 0, ClusterSecret.PROOF_BYTES))) {
      refuse();
      return null;
    }
    return new Admitted(secret.label(guest.meeting), guest.endpointId);
  }

  void forget(long label) {
    forgotten.put(label, true);
  }

  /** A message of a connection that was never let in. */
  void stranger(long label) {
    if (!forgotten.containsKey(label)) {
      refuse();
    }
  }

  /** A header's worth of zeros. */
  static MemorySegment blank() {
    return MemorySegment.ofArray(new long[WireHeader.BYTES / Long.BYTES]);
  }

  static void put(MemorySegment header, int at, byte[] bytes) {
    MemorySegment.copy(bytes, 0, header, ValueLayout.JAVA_BYTE, at, bytes.length);
  }

  private static byte[] bytes(MemorySegment header, int at, int count) {
    return header.asSlice(at, count).toArray(ValueLayout.JAVA_BYTE);
  }

  /** An answer on its way; UCX reads the header until it is there. */
  private final class Answer extends UcxCallback {
    private final MemorySegment framed = Arena.ofAuto().allocate(Frame.BYTES, 8);

    Answer(long link, MemorySegment header) {
      Frame.write(framed, header, link, 0);
    }

    void post(UcpEndpoint endpoint) {
      ucx.checkOwner();
      try {
        endpoint.sendAmNonBlocking(
            Receiver.ANSWER,
            framed.address(),
            framed.byteSize(),
            ucx.empty.address(),
            ucx.empty.byteSize(),
            UcpConstants.UCP_AM_SEND_FLAG_RNDV,
            this,
            ucx.hostMemory);
      } catch (RuntimeException e) {
        // The guest has gone again.
      }
    }

    @Override
    public void onSuccess(UcpRequest request) {
      // it has been taken
    }

    @Override
    public void onError(int status, String message) {
      // the guest has gone again
    }
  }
}
