package io.crossmesh;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** Which way the packages of the agent depend on each other and on libraries. */
@AnalyzeClasses(packages = "io.crossmesh", importOptions = ImportOption.DoNotIncludeTests.class)
class DependencyTest {
  @ArchTest
  static final ArchRule ONLY_FLIGHT_AND_TABLES_KNOW_ARROW =
      noClasses()
          .that()
          .resideOutsideOfPackages(
              "io.crossmesh.flight..", "io.crossmesh.table", "io.crossmesh.agent")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.arrow..", "io.grpc..", "io.netty..");

  @ArchTest
  static final ArchRule TABLES_KNOW_NO_DOOR =
      noClasses()
          .that()
          .resideInAPackage("io.crossmesh.table")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.crossmesh.flight..",
              "io.crossmesh.gateway..",
              "io.crossmesh.agent..",
              "org.apache.arrow.flight..",
              "io.grpc..",
              "io.netty..");

  /** The wiring makes the one allocator of the process, and knows nothing else of Arrow. */
  @ArchTest
  static final ArchRule THE_WIRING_KNOWS_ARROWS_ALLOCATOR_ONLY =
      noClasses()
          .that()
          .resideInAPackage("io.crossmesh.agent")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.arrow.flight..", "org.apache.arrow.vector..");

  @ArchTest
  static final ArchRule ONLY_THE_GATEWAY_KNOWS_PY4J =
      noClasses()
          .that()
          .resideOutsideOfPackage("io.crossmesh.gateway")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("py4j..");

  @ArchTest
  static final ArchRule ONLY_METRICS_KNOW_MICROMETER =
      noClasses()
          .that()
          .resideOutsideOfPackage("io.crossmesh.metrics")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("io.micrometer..", "com.sun.net.httpserver..");

  @ArchTest
  static final ArchRule ONLY_THE_AGENT_READS_COMMAND_LINES =
      noClasses()
          .that()
          .resideOutsideOfPackage("io.crossmesh.agent")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("picocli..");

  @ArchTest
  static final ArchRule THE_RUNTIME_KNOWS_NO_DOOR =
      noClasses()
          .that()
          .resideInAnyPackage(
              "io.crossmesh.mesh..",
              "io.crossmesh.plan..",
              "io.crossmesh.memory..",
              "io.crossmesh.transfer..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.crossmesh.flight..", "io.crossmesh.gateway..", "io.crossmesh.agent..");

  @ArchTest
  static final ArchRule DOORS_DO_NOT_KNOW_THE_WIRING =
      noClasses()
          .that()
          .resideInAnyPackage("io.crossmesh.flight..", "io.crossmesh.gateway..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.crossmesh.agent..");

  @ArchTest
  static final ArchRule DOORS_DO_NOT_KNOW_UCX =
      noClasses()
          .that()
          .resideInAnyPackage("io.crossmesh.flight..", "io.crossmesh.gateway..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("io.crossmesh.transfer.ucx..", "org.openucx..");

  @ArchTest
  static final ArchRule NO_CYCLES =
      slices().matching("io.crossmesh.(*)..").should().beFreeOfCycles();
}
