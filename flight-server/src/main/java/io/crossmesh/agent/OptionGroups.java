package io.crossmesh.agent;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

/** The options of {@code agent} as {@code --help} lists them: by what they are about. */
final class OptionGroups {
  static final Map<String, List<String>> GROUPS = groups();

  private OptionGroups() {}

  private static Map<String, List<String>> groups() {
    Map<String, List<String>> groups = new LinkedHashMap<>();
    groups.put("This host", List.of("--name", "--info-file", "--config", "--exit-with-stdin"));
    groups.put("The other hosts", List.of("--peer", "--token-file", "--lost-after"));
    groups.put(
        "Addresses and ports",
        List.of("--bind", "--allow-public", "--flight-port", "--metrics-port"));
    groups.put("Memory", List.of("--arena", "--arena-dir"));
    groups.put("Moving bytes", List.of("--transport", "--checksums", "--spares"));
    groups.put(
        "Certificates of the Flight door",
        List.of("--tls-cert", "--tls-key", "--tls-ca", "--tls-clients"));
    groups.put("Limits of the Flight door", List.of("--flight-calls", "--flight-bytes"));
    groups.put("Help", List.of("--help", "--version"));
    return groups;
  }

  static void attach(CommandLine command) {
    command.getHelpSectionMap().put(UsageMessageSpec.SECTION_KEY_OPTION_LIST, OptionGroups::render);
  }

  private static String render(Help help) {
    StringBuilder text = new StringBuilder();
    GROUPS.forEach(
        (heading, names) -> {
          List<OptionSpec> options = new ArrayList<>();
          for (String name : names) {
            options.add(help.commandSpec().findOption(name));
          }
          Help.Layout layout = help.createDefaultLayout();
          layout.addOptions(options, help.createDefaultParamLabelRenderer());
          text.append("%n%s:%n%s".formatted(heading, layout));
        });
    return text.toString();
  }
}
