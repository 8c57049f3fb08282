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
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What one trainer process holds: its channels, the plans it was told of, and the events on their
 * way to it. Ends with the process.
 *
 * <p>What a client calls often, and what it is told often, crosses a {@link ClientRing} when it
 * asked for one; a rare event leaves a record there that says to fetch it here.
 *
 * <p>Every event answers a call, so the queue is bounded by bounding the calls that have no answer
 * yet together with the events nobody fetched: {@link #STEPS_MAX}.
 */
final class Session implements ClientRing.Handler {
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
  private Lifelines.@Nullable Lifeline lifeline;
  private volatile @Nullable ClientRing ring;
  private volatile boolean closed;

  Session(long id, long pid, String label, ChannelOpener engine, PlanRegistry plans) {
    this.id = id;
    this.pid = pid;
    this.label = label;
    this.engine = engine;
    this.plans = plans;
  }

  long id() {
    return id;
  }

  /** The process's connection, which ends with the session. */
  void endWith(Lifelines.Lifeline held) {
    synchronized (this) {
      if (!closed) {
        lifeline = held;
        return;
      }
    }
    held.close();
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

  /** Does something with a channel, after what the client has left in its ring before. */
  void call(long channel, Consumer<ChannelHandle> action) {
    ChannelHandle handle;
    synchronized (this) {
      handle = channel(channel).handle();
    }
    ClientRing present = ring;
    if (present == null) {
      action.accept(handle);
    } else {
      present.later(() -> action.accept(handle));
    }
  }

  /** From now on the client's commands come by a ring, and events go by it. */
  synchronized void attach(ClientRing attached) {
    checkOpen();
    if (ring != null || lastChannel > 0) {
      throw new CrossmeshException(
          Code.INTERNAL, "%s asks too late for a ring.".formatted(owner()));
    }
    ring = attached;
  }

  @Override
  public void command(long kind, long channel, long number, long set) {
    try {
      switch ((int) kind) {
        case ClientRing.SEND -> send(channel, number, Math.toIntExact(set));
        case ClientRing.RECV -> recv(channel, number);
        case ClientRing.RELEASE -> release(channel, number);
        default -> broken("it wrote a command " + kind + " into its ring, which there is not");
      }
    } catch (CrossmeshException e) {
      refuse(kind, channel, number, e.code(), String.valueOf(e.getMessage()));
    } catch (ArithmeticException e) {
      refuse(kind, channel, number, Code.INTERNAL, "There is no staging set " + set + ".");
    }
  }

  private void refuse(long kind, long channel, long step, Code code, String why) {
    if (kind == ClientRing.RELEASE) {
      return;
    }
    if (events.size() >= STEPS_MAX) {
      broken("it left more than " + STEPS_MAX + " refusals unheard");
      return;
    }
    add(
        Json.object()
            .put("e", "step_failed")
            .put("channel", channel)
            .put("step", step)
            .put("code", code.pythonName())
            .put("message", why));
  }

  @Override
  public void broken(String why) {
    close("%s is at odds with its agent: %s".formatted(owner(), why));
  }

  ArrayNode nextEvents(long waitMillis) throws InterruptedException {
    return events.take(waitMillis);
  }

  /** Ends everything of this session; {@code reason} is what other parties read. */
  void close(String reason) {
    List<SessionChannel> left;
    List<Long> held;
    Lifelines.Lifeline process;
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      process = lifeline;
      left = List.copyOf(channels.values());
      channels.clear();
    }
    synchronized (planIds) {
      held = List.copyOf(planIds);
    }
    if (process != null) {
      process.close();
    }
    held.forEach(plans::release);
    events.close();
    ClientRing present = ring;
    if (present != null) {
      present.close();
    }
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
    add(() -> event);
  }

  /** Adds an event that takes long to write: whoever fetches it does. */
  void add(Supplier<ObjectNode> event) {
    events.add(event);
    ClientRing present = ring;
    if (present != null) {
      present.publish(ClientRing.ASK, 0, 0, 0, 0, 0);
    }
  }

  /** Tells by the ring; false without one. */
  boolean tell(int kind, long channel, long step, long first, long second, long third) {
    ClientRing present = ring;
    if (present == null) {
      return false;
    }
    present.publish(kind, channel, step, first, second, third);
    return true;
  }

  private long untaken() {
    ClientRing present = ring;
    return events.size() + (present == null ? 0 : present.untaken());
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
    if (outstanding.get() + untaken() >= STEPS_MAX) {
      throw new CrossmeshException(
          Code.TOO_MANY_STEPS,
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
