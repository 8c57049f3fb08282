package io.crossmesh.schedule;

import static io.crossmesh.fuzz.FuzzTarget.documents;
import static io.crossmesh.fuzz.FuzzTarget.same;

import io.crossmesh.Code;
import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.fuzz.FuzzTargets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** Schedules, requests for them, and times. */
public final class ScheduleTargets implements FuzzTargets {
  private static final Set<Code> REFUSALS = Set.of(Code.LAYOUT, Code.SCHEDULE);

  /** A short request may ask for a schedule of as many operations as one may have. */
  private static final long LARGEST_SCHEDULE = 2L << 30;

  private static final String RUN =
      """
      {"v":1,"forward":[1,2,3],"backward":2.5,"weight":null,"transfer_forward":0.5,
       "transfer_backward":[0.25,1],"overlap":false,"exchange":true,"half_duplex":false,
       "hosts":null,"activation":1,"residual":[0.5,0.25,0]}""";

  private static final String SKIPPING =
      """
      {"v":1,"forward":1,"backward":2,"weight":1,"transfer_forward":0.5,"transfer_backward":0,
       "overlap":true,"exchange":false,"half_duplex":true,"hosts":["a","b","a"],
       "activation":1,"residual":1,"skips":[[0,2,1.5,0.25]]}""";

  @Override
  public List<FuzzTarget> open(Path directory) {
    String request =
        """
        {"v":1,"name":"1f1b","stages":3,"microbatches":3,"virtual":1,"inference":false,
         "memory":null,"run":%s}"""
            .formatted(RUN);
    Schedule schedule = ScheduleJson.make(request);
    return List.of(
        documents(
                "schedule request",
                List.of(request, request.replace("1f1b", "adaptive")),
                REFUSALS,
                text -> ScheduleJson.write(ScheduleJson.make(text)))
            .allocating(LARGEST_SCHEDULE),
        documents(
            "schedule",
            List.of(ScheduleJson.write(schedule).put("digest", (String) null).toString()),
            REFUSALS,
            text -> {
              Schedule read = ScheduleJson.read(text);
              same(read, ScheduleJson.read(ScheduleJson.write(read).toString()));
            }),
        documents(
            "schedule run",
            List.of(RUN, SKIPPING),
            REFUSALS,
            text -> ScheduleJson.write(ScheduleJson.simulate(schedule, text))));
  }
}
