package io.crossmesh;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.belongToAnyOf;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import io.crossmesh.mesh.Box;
import java.time.Clock;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Timer;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ThreadPoolExecutor;

/** Which package may use which: mesh, then plan, then transfer; schedule and memory beside them. */
@AnalyzeClasses(packages = "io.crossmesh", importOptions = ImportOption.DoNotIncludeTests.class)
final class ArchitectureTest {
  private static final String CORE = "io.crossmesh";
  private static final String MESH = "io.crossmesh.mesh..";
  private static final String PLAN = "io.crossmesh.plan..";
  private static final String SCHEDULE = "io.crossmesh.schedule..";
  private static final String MEMORY = "io.crossmesh.memory..";
  private static final String TRANSFER = "io.crossmesh.transfer";
  private static final String UCX = "io.crossmesh.transfer.ucx..";

  /** Where the engine meets the machine: the only classes that own a thread or read the clock. */
  private static final DescribedPredicate<JavaClass> EDGES =
      DescribedPredicate.describe(
          "are SystemClock or OwnerThread",
          type -> {
            String name = type.getName().replaceAll("\\$.*", "");
            return name.equals(TRANSFER + ".SystemClock") || name.equals(TRANSFER + ".OwnerThread");
          });

  /** An Executor that was handed in is no thread of one's own; what makes threads is. */
  private static final DescribedPredicate<JavaClass> TIME_THREADS_AND_SOCKETS =
      resideInAnyPackage("java.net..", "java.nio.channels..")
          .or(
              belongToAnyOf(
                  Thread.class,
                  Timer.class,
                  Executors.class,
                  ThreadPoolExecutor.class,
                  ForkJoinPool.class,
                  Clock.class,
                  InstantSource.class))
          .as("are clocks, threads or sockets");

  @ArchTest
  static final ArchRule meshDependsOnNothingOfOurs =
      classes()
          .that()
          .resideInAPackage(MESH)
          .should()
          .onlyDependOnClassesThat(
              resideInAnyPackage(CORE, MESH, "java..", "com.fasterxml.jackson..", "org.jspecify.."))
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule planDependsOnMeshOnly =
      classes()
          .that()
          .resideInAPackage(PLAN)
          .should()
          .onlyDependOnClassesThat(
              resideInAnyPackage(
                  CORE, MESH, PLAN, "java..", "com.fasterxml.jackson..", "org.jspecify.."))
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule scheduleDependsOnMeshOnly =
      classes()
          .that()
          .resideInAPackage(SCHEDULE)
          .should()
          .onlyDependOnClassesThat(
              resideInAnyPackage(
                  CORE, MESH, SCHEDULE, "java..", "com.fasterxml.jackson..", "org.jspecify.."))
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule memoryKnowsBoxesAndNothingElseOfOurs =
      classes()
          .that()
          .resideInAPackage(MEMORY)
          .should()
          .onlyDependOnClassesThat(
              not(resideInAPackage("io.crossmesh.."))
                  .or(resideInAnyPackage(CORE, MEMORY))
                  .or(belongToAnyOf(Box.class)))
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule onlyTheUcxTransportKnowsUcx =
      noClasses()
          .that()
          .resideOutsideOfPackage(UCX)
          .should()
          .dependOnClassesThat()
          .resideInAPackage("org.openucx..")
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule theEngineKnowsNoTransport =
      noClasses()
          .that()
          .resideInAPackage(TRANSFER)
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.crossmesh.transfer.*..")
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule planningNeedsNoNativeCode =
      noClasses()
          .that()
          .resideInAnyPackage(MESH, PLAN, SCHEDULE)
          .should()
          .dependOnClassesThat(resideInAnyPackage("java.lang.foreign..", "sun..", "jdk.."))
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule planningUsesNoClockThreadOrSocket =
      noClasses()
          .that()
          .resideInAnyPackage(MESH, PLAN, SCHEDULE)
          .should()
          .dependOnClassesThat(TIME_THREADS_AND_SOCKETS)
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule theEngineUsesNoClockThreadOrSocketOfItsOwn =
      noClasses()
          .that()
          .resideInAPackage(TRANSFER)
          .and(not(EDGES))
          .should()
          .dependOnClassesThat(TIME_THREADS_AND_SOCKETS)
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule nobodyElseReadsTheClock =
      noClasses()
          .that()
          .resideInAnyPackage(MESH, PLAN, SCHEDULE, MEMORY, TRANSFER)
          .and(not(EDGES))
          .should()
          .callMethod(System.class, "nanoTime")
          .orShould()
          .callMethod(System.class, "currentTimeMillis")
          .orShould()
          .callMethod(Instant.class, "now")
          .allowEmptyShould(true);
}
