package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.plan.BusyTimes;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanCache;
import io.crossmesh.plan.PlanComparison;
import io.crossmesh.plan.PlanJson;
import io.crossmesh.plan.PlanReport;
import io.crossmesh.table.PlanTables;
import io.crossmesh.transfer.ChannelHandle;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The entry point of the Python client: every public method is one that it may call, with strings
 * and numbers in and one JSON {@link Envelope} out. No method throws, and none but {@link
 * #nextEvents} waits for the network or for another process; {@link #join} waits for answers of
 * other agents within their limit.
 */
public final class PlannerGateway implements AutoCloseable {
  static final long WAIT_MILLIS_MAX = 60_000;

  private final Supplier<ObjectNode> identity;
  private final Optional<AgentSide> agent;
  private final Path directory;
  private final PlanRegistry plans;
  private final ScheduleCalls schedules = new ScheduleCalls();
  private final PlanCache cache = new PlanCache();
  private final Optional<Sessions> sessions;

  private PlannerGateway(
      Supplier<ObjectNode> identity,
      Optional<AgentSide> agent,
      Path directory,
      Optional<Lifelines> lifelines) {
    this.identity = identity;
    this.agent = agent;
    this.directory = directory;
    plans = new PlanRegistry(new PlanTables(directory));
    this.sessions = agent.flatMap(side -> lifelines.map(lives -> new Sessions(side, plans, lives)));
  }

  /**
   * A gateway that plans and refuses everything else.
   *
   * @param directory of this process's user alone, for what is too long for an answer
   */
  public static PlannerGateway planningOnly(Supplier<ObjectNode> identity, Path directory) {
    return new PlannerGateway(identity, Optional.empty(), directory, Optional.empty());
  }

  /**
   * The gateway of an agent.
   *
   * @param directory of this process's user alone, for what is too long for an answer
   * @param lifelines where the processes of its sessions show that they live
   */
  public static PlannerGateway of(
      Supplier<ObjectNode> identity, AgentSide agent, Path directory, Lifelines lifelines) {
    return new PlannerGateway(identity, Optional.of(agent), directory, Optional.of(lifelines));
  }

  /** Who this is and where its doors are, without secrets. */
  public String hello() {
    return Envelope.of(identity);
  }

  /** Plans a request document and keeps the plan; answers its summary with its number. */
  public String plan(String requestJson) {
    return Envelope.of(() -> kept(cache.plan(PlanJson.readRequest(requestJson))));
  }

  /** Reads a plan document, proves it and keeps it; answers as {@link #plan}. */
  public String planLoad(String planJson) {
    return Envelope.of(() -> kept(PlanJson.readPlan(planJson)));
  }

  /** The summary of a kept plan, as {@link #plan} answers it. */
  public String planSummary(long id) {
    return Envelope.of(() -> PlanRegistry.summary(id, plans.get(id)));
  }

  /** The document of a kept plan's request, as a string. */
  public String planRequest(long id) {
    return Envelope.of(() -> TextNode.valueOf(PlanJson.write(plans.get(id).request())));
  }

  /** The path of an Arrow file with the moves of a kept plan; it goes with the plan. */
  public String planMoves(long id) {
    return Envelope.of(() -> TextNode.valueOf(plans.moves(id).toString()));
  }

  /** The path of an Arrow file with the unit tasks of a kept plan; it goes with the plan. */
  public String planTasks(long id) {
    return Envelope.of(() -> TextNode.valueOf(plans.tasks(id).toString()));
  }

  /** The whole document of a kept plan, as a string. */
  public String planJson(long id) {
    return Envelope.of(() -> TextNode.valueOf(PlanJson.write(plans.get(id))));
  }

  /** The numbers of a page about a kept plan: {@link PlanReport}. */
  public String planReport(long id, long rows) {
    return Envelope.of(
        () -> PlanReport.of(plans.get(id), Math.clamp(rows, 1, PlanReport.MAX_ROWS)));
  }

  /**
   * The baselines beside a kept plan: {@link PlanComparison}.
   *
   * @param extent "cheap": only for plans that are quickly planned, else no rows; "some"; or "all"
   */
  public String planCompare(long id, String extent) {
    return Envelope.of(
        () -> {
          Plan plan = plans.get(id);
          boolean small = plan.tasks().size() <= PlanComparison.CHEAP_TASKS;
          return extent.equals("cheap") && !small
              ? Json.object().put("cheap_tasks", PlanComparison.CHEAP_TASKS)
              : PlanComparison.of(plan, extent.equals("all"));
        });
  }

  /** When each NIC is busy, and with what, by the prediction of a kept plan: {@link BusyTimes}. */
  public String planTimeline(long id) {
    return Envelope.of(() -> BusyTimes.of(plans.get(id)));
  }

  /** Forgets a plan; harmless if it is forgotten already. */
  public String planRelease(long id) {
    return done(() -> plans.release(id));
  }

  /** Makes a pipeline schedule and keeps it; answers its summary with its number. */
  public String schedule(String requestJson) {
    return Envelope.of(() -> schedules.make(requestJson));
  }

  /** Reads a schedule document, checks it and keeps it; answers as {@link #schedule}. */
  public String scheduleLoad(String document) {
    return Envelope.of(() -> schedules.load(document));
  }

  /** The whole document of a kept schedule. */
  public String scheduleJson(long id) {
    return Envelope.of(() -> schedules.document(id));
  }

  /** The operations of one stage of a kept schedule. */
  public String scheduleStage(long id, long stage) {
    return Envelope.of(() -> schedules.stage(id, stage));
  }

  /** What a kept schedule takes with the times of a run document. */
  public String simulate(long id, String runJson) {
    return Envelope.of(() -> schedules.simulate(id, runJson));
  }

  /** Every operation and transfer of such a run. */
  public String simulateTimeline(long id, String runJson) {
    return Envelope.of(() -> schedules.timeline(id, runJson));
  }

  /** Forgets a schedule; harmless if it is forgotten already. */
  public String scheduleRelease(long id) {
    return done(() -> schedules.release(id));
  }

  /** Makes other agents known: {@code [{"name", "address": "host:port"}]}. */
  public String join(String peersJson) {
    return Envelope.of(() -> agentSide().join(JsonValue.parse(peersJson, "peers")));
  }

  /** Begins a session that ends with the process, which has said the key on its lifeline. */
  public String openSession(long pid, String label, String key) {
    return Envelope.of(() -> Json.object().put("session", sessions().open(pid, label, key)));
  }

  /**
   * Makes the ring of a session that has opened no channel yet: from then on {@code send}, {@code
   * recv} and {@code release} are records in it, and so are most events. Answers the paths of the
   * file and of both bells.
   */
  public String openRing(long session) {
    return Envelope.of(
        () -> {
          ClientRing ring = sessions().ring(session, directory);
          return Json.object()
              .put("ring", ring.path().toString())
              .put("bell", ring.clientBell().toString())
              .put("agent_bell", ring.agentBell().toString());
        });
  }

  /** Opens a channel; that it is open, or failed, comes as an event. */
  public String openChannel(long session, String requestJson) {
    return Envelope.of(
        () -> {
          Session opener = sessions().get(session);
          JsonValue request = JsonValue.parse(requestJson, "channel");
          return Json.object()
              .put("channel", opener.open(ChannelRequests.read(request, opener.owner())));
        });
  }

  /** Sends what lies in a staging set as a step. */
  public String send(long session, long channel, long step, long set) {
    return done(() -> sessions().get(session).send(channel, step, Math.toIntExact(set)));
  }

  /** Asks for a step. */
  public String recv(long session, long channel, long step) {
    return done(() -> sessions().get(session).recv(channel, step));
  }

  /** Gives a received set back. */
  public String release(long session, long channel, long receipt) {
    return done(() -> sessions().get(session).release(channel, receipt));
  }

  /** Ends a step for all parties. */
  public String cancel(long session, long channel, long step, String code, String reason) {
    return done(
        () -> {
          Code because = codeOf(code);
          sessions().get(session).call(channel, handle -> handle.cancel(step, because, reason));
        });
  }

  /** Ends a channel for all parties with a reason. */
  public String abort(long session, long channel, String reason) {
    return done(() -> sessions().get(session).call(channel, handle -> handle.abort(reason)));
  }

  /** Ends a channel once what was sent has been delivered. */
  public String closeChannel(long session, long channel) {
    return done(() -> sessions().get(session).call(channel, ChannelHandle::close));
  }

  /** Ends a session and all it holds. */
  public String closeSession(long session) {
    return done(() -> sessions().end(session, "a process closed its connection to its agent"));
  }

  /** Events of a session, waiting up to {@code waitMillis} for the first. */
  public String nextEvents(long session, long waitMillis) {
    return Envelope.of(
        () -> {
          try {
            ObjectNode answer = Json.object();
            answer.set(
                "events",
                sessions().get(session).nextEvents(Math.clamp(waitMillis, 0, WAIT_MILLIS_MAX)));
            return answer;
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CrossmeshException(
                Code.AGENT_UNAVAILABLE, "the agent ends; start it again.", e);
          }
        });
  }

  /** What the agent is doing, in numbers. */
  public String status() {
    return Envelope.of(
        () -> {
          ObjectNode json = agentSide().status();
          json.set("sessions", sessions().status());
          return json.put("plans", plans.size());
        });
  }

  /** Ends all sessions. Not to be reached through the door: it is not a method of the protocol. */
  @Override
  public void close() {
    sessions.ifPresent(Sessions::close);
  }

  private ObjectNode kept(Plan plan) {
    return PlanRegistry.summary(plans.add(plan), plan);
  }

  private Sessions sessions() {
    return sessions.orElseThrow(PlannerGateway::noAgent);
  }

  private AgentSide agentSide() {
    return agent.orElseThrow(PlannerGateway::noAgent);
  }

  private static CrossmeshException noAgent() {
    return new CrossmeshException(
        Code.AGENT_UNAVAILABLE,
        "this process only plans; transfers need an agent: start one, or use cm.LocalCluster.");
  }

  private static String done(Runnable call) {
    return Envelope.of(
        () -> {
          call.run();
          return Json.object();
        });
  }

  private static Code codeOf(String pythonName) {
    return Arrays.stream(Code.values())
        .filter(code -> code.pythonName().equals(pythonName))
        .findFirst()
        .orElseThrow(() -> Json.bad("there is no error class '" + pythonName + "'"));
  }
}
