package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.schedule.Schedule;
import io.crossmesh.schedule.ScheduleJson;
import io.crossmesh.schedule.Simulation;
import java.util.HashMap;
import java.util.Map;

/**
 * Schedules that clients refer to by number. A client releases what it no longer reads; the limit
 * stops one that forgets to, before the heap does.
 */
final class ScheduleCalls {
  static final int SCHEDULES_MAX = 4096;

  private final Map<Long, Schedule> schedules = new HashMap<>();
  private long last;

  ObjectNode make(String requestJson) {
    return kept(ScheduleJson.make(requestJson));
  }

  ObjectNode load(String document) {
    return kept(ScheduleJson.read(document));
  }

  ObjectNode document(long id) {
    return ScheduleJson.write(get(id));
  }

  ArrayNode stage(long id, long stage) {
    return ScheduleJson.stage(get(id), Math.toIntExact(stage));
  }

  ObjectNode simulate(long id, String runJson) {
    return ScheduleJson.write(ScheduleJson.simulate(get(id), runJson));
  }

  ObjectNode timeline(long id, String runJson) {
    Simulation result = ScheduleJson.simulate(get(id), runJson);
    return ScheduleJson.write(result.timeline());
  }

  synchronized void release(long id) {
    schedules.remove(id);
  }

  private synchronized ObjectNode kept(Schedule schedule) {
    if (schedules.size() >= SCHEDULES_MAX) {
      throw new CrossmeshException(
          Code.SCHEDULE,
          "%d schedules are held by clients of this process; drop references to those that are no longer read."
              .formatted(SCHEDULES_MAX));
    }
    schedules.put(++last, schedule);
    return ScheduleJson.summary(schedule).put("id", last);
  }

  private synchronized Schedule get(long id) {
    Schedule schedule = schedules.get(id);
    if (schedule == null) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "schedule %d is not held here; it was released, or made by another process."
              .formatted(id));
    }
    return schedule;
  }
}
