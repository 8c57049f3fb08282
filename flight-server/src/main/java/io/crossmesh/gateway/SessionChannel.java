package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.Participant;
import org.jspecify.annotations.Nullable;

/**
 * One channel of a session: turns what the engine says into events. Called on the engine's owner
 * thread, so it only appends to the queue.
 */
final class SessionChannel implements Participant {
  private final Session session;
  private final long id;
  private @Nullable ChannelHandle handle;
  private long outstanding;
  private long receipts;
  private boolean over;

  SessionChannel(Session session, long id) {
    this.session = session;
    this.id = id;
  }

  synchronized void attach(ChannelHandle opened) {
    handle = opened;
  }

  synchronized ChannelHandle handle() {
    if (handle == null) {
      throw new IllegalStateException("channel " + id + " is used before it was attached");
    }
    return handle;
  }

  /** A step was posted; one event at least will answer it. */
  synchronized void posted() {
    outstanding++;
    session.outstanding(1);
  }

  synchronized void released() {
    receipts--;
  }

  /** Whether nothing of it is left: it is over and no received set is held. */
  synchronized boolean forgettable() {
    return over && receipts <= 0;
  }

  synchronized boolean live() {
    return !over;
  }

  @Override
  public void onOpen(OpenInfo info) {
    long plan = session.keep(info.plan());
    session.add(() -> open(info, plan));
  }

  private ObjectNode open(OpenInfo info, long plan) {
    ObjectNode event = event("open");
    event.put("plan", plan).put("digest", info.plan().digest());
    ArrayNode tiles = event.putArray("tiles");
    info.tiles()
        .forEach(
            tile -> {
              ObjectNode json = tiles.addObject().put("tensor", tile.tensor());
              ArrayNode devices = json.putArray("devices");
              tile.devices().forEach(devices::add);
              json.set("box", MeshJson.write(tile.box()));
              json.put("offset", tile.offset()).put("bytes", tile.bytes());
            });
    event.put("set_bytes", info.setBytes());
    ArrayNode sets = event.putArray("sets");
    info.stagingSets().forEach(sets::add);
    return event;
  }

  @Override
  public void onSent(long step, int stagingSet) {
    if (!session.tell(ClientRing.SENT, id, step, stagingSet, 0, 0)) {
      session.add(event("sent").put("step", step).put("set", stagingSet));
    }
  }

  @Override
  public void onDelivered(long step) {
    answered(1);
    if (!session.tell(ClientRing.DELIVERED, id, step, 0, 0, 0)) {
      session.add(event("delivered").put("step", step));
    }
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {
    answered(1);
    synchronized (this) {
      receipts++;
    }
    if (session.tell(ClientRing.RECEIVED, id, step, receipt, base, mustCopy ? 1 : 0)) {
      return;
    }
    session.add(
        event("received")
            .put("step", step)
            .put("receipt", receipt)
            .put("base", base)
            .put("copy", mustCopy));
  }

  @Override
  public void onStepFailed(long step, Code code, String message) {
    answered(1);
    session.add(failure(event("step_failed").put("step", step), code, message));
  }

  @Override
  public void onChannelFailed(Code code, String message) {
    end();
    session.add(failure(event("channel_failed"), code, message));
  }

  @Override
  public void onClosed() {
    end();
    session.add(event("closed"));
  }

  private void end() {
    answered(Long.MAX_VALUE);
    synchronized (this) {
      over = true;
    }
  }

  private synchronized void answered(long steps) {
    long fewer = Math.min(steps, outstanding);
    outstanding -= fewer;
    session.outstanding(-fewer);
  }

  private ObjectNode event(String kind) {
    return Json.object().put("e", kind).put("channel", id);
  }

  private static ObjectNode failure(ObjectNode event, Code code, String message) {
    return event.put("code", code.pythonName()).put("message", message);
  }
}
