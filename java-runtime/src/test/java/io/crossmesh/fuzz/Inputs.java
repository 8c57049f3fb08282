package io.crossmesh.fuzz;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;

/** Damaged inputs of one target, by a seed. */
final class Inputs {
  private final Random random;
  private final List<byte[]> valid;
  private final List<JsonNode> documents;
  private final ByteMutator bytes;
  private final JsonMutator trees;

  Inputs(FuzzTarget target, long seed) {
    random = new Random(seed);
    bytes = new ByteMutator(random);
    trees = new JsonMutator(seed);
    valid = target.valid();
    documents =
        target.json()
            ? valid.stream()
                .map(input -> JsonMutator.tree(new String(input, StandardCharsets.UTF_8)))
                .toList()
            : List.of();
  }

  byte[] next() {
    int which = random.nextInt(valid.size());
    return documents.isEmpty()
        ? bytes.mutate(valid.get(which))
        : trees.mutate(documents.get(which)).getBytes(StandardCharsets.UTF_8);
  }
}
