package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import io.crossmesh.plan.Plan;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What one trainer process holds: its channels, the plans it was told of, and the events on their
 * way to it. Ends with the process.
 *
 * <p>Every event answers a call, so the queue is bounded by bounding the calls that have no answer
 * yet together with the events nobody fetched: {@link #STEPS_MAX}.
 */
final class Session {
  static final int CHANNELS_MAX = 4096;
  static final int STEPS_MAX = 65_536;

  private final long id;
  private final long pid;
  private final String label;
  private final ChannelOpener engine;
  private final PlanRegistry plans;
  private final EventQueue events = new EventQueue();
  private final AtomicLong outstanding = new AtomicLong();
  private final Map<Long, SessionChannel> channels = new HashMap<>();
  private final List<Long> planIds = new ArrayList<>();
  private long lastChannel;
  private boolean closed;

  Session(long id, long pid, String label, ChannelOpener engine, PlanRegistry plans) {
    this.id = id;
    this.pid = pid;
    this.label = label;
    this.engine = engine;
    this.plans = plans;
  }

  /** Who this is, in the words of messages and of the arena's accounts. */
  String owner() {
    return owner(id, pid, label);
  }

  static String owner(long id, long pid, String label) {
    return "process %d (%s, session %d)".formatted(pid, label, id);
  }

  synchronized long open(ChannelOpen request) {
    checkOpen();
    if (channels.size() >= CHANNELS_MAX) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "%s has %d channels open; close some first.".formatted(owner(), CHANNELS_MAX));
    }
    long channel = ++lastChannel;
    SessionChannel participant = new SessionChannel(this, channel);
    participant.attach(engine.open(request, participant));
    channels.put(channel, participant);
    return channel;
  }

  synchronized void send(long channel, long step, int set) {
    post(channel).send(step, set);
  }

  synchronized void recv(long channel, long step) {
    post(channel).recv(step);
  }

  synchronized void release(long channel, long receipt) {
    SessionChannel found = channel(channel);
    found.handle().release(receipt);
    found.released();
    channels.values().removeIf(SessionChannel::forgettable);
  }

  synchronized ChannelHandle handle(long channel) {
    return channel(channel).handle();
  }

  ArrayNode nextEvents(long waitMillis) throws InterruptedException {
    return events.take(waitMillis);
  }

  /** Ends everything of this session; {@code reason} is what other parties read. */
  void close(String reason) {
    List<SessionChannel> left;
    List<Long> held;
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      left = List.copyOf(channels.values());
      channels.clear();
    }
    synchronized (planIds) {
      held = List.copyOf(planIds);
    }
    held.forEach(plans::release);
    events.close();
    left.forEach(channel -> channel.handle().participantGone(reason));
  }

  synchronized ObjectNode status() {
    return Json.object()
        .put("session", id)
        .put("pid", pid)
        .put("label", label)
        .put("channels", channels.values().stream().filter(SessionChannel::live).count())
        .put("events", events.size());
  }

  void add(ObjectNode event) {
    events.add(event);
  }

  void outstanding(long more) {
    outstanding.addAndGet(more);
  }

  /** Holds a channel's plan for as long as the session lives, unless the client releases it. */
  long keep(Plan plan) {
    long planId = plans.add(plan);
    synchronized (planIds) {
      planIds.add(planId);
    }
    return planId;
  }

  private ChannelHandle post(long channel) {
    SessionChannel posted = channel(channel);
    if (outstanding.get() + events.size() >= STEPS_MAX) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "%s has %d steps posted and not collected; wait for some results before posting more."
              .formatted(owner(), STEPS_MAX));
    }
    posted.posted();
    return posted.handle();
  }

  private SessionChannel channel(long channel) {
    checkOpen();
    SessionChannel found = channels.get(channel);
    if (found == null) {
      throw new CrossmeshException(
          Code.INTERNAL, "%s has no channel %d.".formatted(owner(), channel));
    }
    return found;
  }

  private void checkOpen() {
    if (closed) {
      throw new CrossmeshException(
          Code.TRANSFER_CANCELLED, "%s is closed; connect again.".formatted(owner()));
    }
  }
}
