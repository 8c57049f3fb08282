package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Doorbell;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The sessions of an agent; each ends with its process, whether or not that says goodbye. */
final class Sessions implements AutoCloseable {
  static final int SESSIONS_MAX = 1024;
  static final int LABEL_CHARACTERS_MAX = 200;

  private final AgentSide agent;
  private final PlanRegistry plans;
  private final Lifelines lifelines;
  private final Map<Long, Session> sessions = new HashMap<>();
  private long last;
  private boolean closed;

  Sessions(AgentSide agent, PlanRegistry plans, Lifelines lifelines) {
    this.agent = agent;
    this.plans = plans;
    this.lifelines = lifelines;
  }

  /**
   * Opens a session that ends with the process.
   *
   * @param pid of the process as it knows itself, for messages
   * @param key of the process's connection to the {@link Lifelines}
   */
  long open(long pid, String label, String key) {
    if (label.length() > LABEL_CHARACTERS_MAX) {
      throw Json.bad("the session's label is too long");
    }
    Session session = add(pid, label);
    long id = session.id();
    try {
      session.endWith(
          lifelines.take(
              key,
              () ->
                  end(
                      id,
                      "process %d (%s) ended without closing its channels".formatted(pid, label))));
    } catch (CrossmeshException e) {
      end(id, "the process is not connected");
      throw e;
    }
    return id;
  }

  Session get(long id) {
    synchronized (sessions) {
      Session session = sessions.get(id);
      if (session == null) {
        throw new CrossmeshException(
            Code.TRANSFER_CANCELLED, "session %d is closed; connect again.".formatted(id));
      }
      return session;
    }
  }

  /**
   * Makes the ring of a session.
   *
   * @throws CrossmeshException AGENT_UNAVAILABLE if there is no transport or no named pipe here
   */
  ClientRing ring(long id, Path directory) {
    Session session = get(id);
    Doorbell bell =
        agent
            .bell()
            .orElseThrow(
                () ->
                    new CrossmeshException(
                        Code.AGENT_UNAVAILABLE, "this agent has no transport and so no rings."));
    ClientRing ring;
    try {
      ring = ClientRing.create(directory.resolve("session-" + id), bell, session);
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE, "the session's ring cannot be made: %s.".formatted(e), e);
    }
    agent.attach(ring);
    try {
      session.attach(ring);
    } catch (CrossmeshException e) {
      ring.close();
      throw e;
    }
    return ring;
  }

  void end(long id, String reason) {
    Session session;
    synchronized (sessions) {
      session = sessions.remove(id);
    }
    if (session != null) {
      session.close(reason);
    }
  }

  ArrayNode status() {
    ArrayNode json = JsonNodeFactory.instance.arrayNode();
    copy().forEach(session -> json.add(session.status()));
    return json;
  }

  @Override
  public void close() {
    List<Session> open;
    synchronized (sessions) {
      closed = true;
      open = List.copyOf(sessions.values());
      sessions.clear();
    }
    open.forEach(session -> session.close("the agent ends"));
  }

  private Session add(long pid, String label) {
    synchronized (sessions) {
      if (closed) {
        throw new CrossmeshException(Code.AGENT_UNAVAILABLE, "the agent ends; start it again.");
      }
      if (sessions.size() >= SESSIONS_MAX) {
        throw new CrossmeshException(
            Code.AGENT_UNAVAILABLE,
            "the agent serves %d sessions already; close some.".formatted(SESSIONS_MAX));
      }
      long id = ++last;
      Session session = new Session(id, pid, label, agent.channels(), plans);
      sessions.put(id, session);
      return session;
    }
  }

  private List<Session> copy() {
    synchronized (sessions) {
      return List.copyOf(sessions.values());
    }
  }
}
