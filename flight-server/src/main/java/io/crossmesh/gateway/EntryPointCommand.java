package io.crossmesh.gateway;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import py4j.Protocol;
import py4j.Py4JException;
import py4j.ReturnObject;
import py4j.commands.AbstractCommand;

/**
 * Py4J's call command, narrowed: it calls the public methods of {@link PlannerGateway} on the entry
 * point and nothing else. Py4J itself would let a caller with the token reach every class of the
 * JVM, starting with {@code java.lang.Runtime}.
 *
 * <p>Public with a public constructor because Py4J creates one for each connection.
 */
public final class EntryPointCommand extends AbstractCommand {
  private static final Map<String, Method> METHODS = methods();

  public EntryPointCommand() {
    commandName = "c";
  }

  @Override
  public void execute(String command, BufferedReader reader, BufferedWriter writer)
      throws IOException {
    String target = reader.readLine();
    String name = reader.readLine();
    if (target == null || name == null) {
      throw new Py4JException("the command ended before the name of its method");
    }
    writer.write(answer(target, name, arguments(reader)));
    writer.flush();
  }

  /** Py4J's reader stumbles over what its own client never writes; that ends the connection. */
  private List<Object> arguments(BufferedReader reader) throws IOException {
    try {
      return getArguments(reader);
    } catch (RuntimeException e) {
      throw new Py4JException("the arguments cannot be read: " + e, e);
    }
  }

  private String answer(String target, String name, List<Object> arguments) {
    Method method = METHODS.get(name);
    if (!Protocol.ENTRY_POINT_OBJECT_ID.equals(target) || method == null) {
      return refusal("this gateway has the methods " + METHODS.keySet() + " only");
    }
    try {
      Object result =
          method.invoke(gateway.getEntryPoint(), converted(method.getParameterTypes(), arguments));
      return Protocol.getOutputCommand(ReturnObject.getPrimitiveReturnObject(result));
    } catch (IllegalArgumentException | IllegalAccessException e) {
      return refusal(name + ": " + e.getMessage());
    } catch (InvocationTargetException e) {
      return refusal(name + ": " + e.getCause());
    }
  }

  private static String refusal(String message) {
    return Protocol.getOutputErrorCommand(message);
  }

  /** Py4J sends small numbers as int; the methods take long. */
  private static Object[] converted(Class<?>[] types, List<Object> arguments) {
    if (types.length != arguments.size()) {
      throw new IllegalArgumentException(
          "%d arguments given, %d needed".formatted(arguments.size(), types.length));
    }
    Object[] converted = new Object[types.length];
    for (int i = 0; i < types.length; i++) {
      Object argument = arguments.get(i);
      converted[i] =
          types[i] == long.class && argument instanceof Integer number
              ? (Object) number.longValue()
              : argument;
    }
    return converted;
  }

  private static Map<String, Method> methods() {
    Map<String, Method> methods = new TreeMap<>();
    for (Method method : PlannerGateway.class.getDeclaredMethods()) {
      if (Modifier.isPublic(method.getModifiers()) && method.getReturnType() == String.class) {
        methods.put(method.getName(), method);
      }
    }
    return methods;
  }
}
