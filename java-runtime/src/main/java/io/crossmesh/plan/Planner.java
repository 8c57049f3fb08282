package io.crossmesh.plan;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.ArrayList;
import java.util.List;

/** Plans a request: the one door of this package. */
public final class Planner {
  /** How much of a plan that failed its proof is shown. */
  private static final int DUMPED_MOVES = 32;

  private Planner() {}

  /**
   * The proven plan of a request.
   *
   * @throws CrossmeshException LAYOUT when the request passes a limit of {@link Plan}; INTERNAL
   *     with a dump when the plan fails its own proof
   */
  public static Plan plan(PlanRequest request) {
    Network network = new Network(request.topology(), request.hosts());
    List<List<Cell>> byTensor = Decomposition.of(request.tensors(), network);
    List<Chosen> chosen =
        EqualTensors.of(request.tensors())
            .each(
                i ->
                    CostModel.choose(byTensor.get(i), request.strategy(), network, request.order()),
                known -> i -> known);
    List<Cell> cells = byTensor.stream().flatMap(List::stream).toList();
    double lowerBound = LowerBound.of(cells, network);
    List<Move> moves = moves(request, cells, chosen, network, lowerBound);
    CoverageProof.fault(request.tensors(), moves)
        .ifPresent(
            fault -> {
              throw new CrossmeshException(Code.INTERNAL, dump(request, moves, fault));
            });
    return assemble(request, lowerBound, cells, chosen, moves);
  }

  private static List<Move> moves(
      PlanRequest request,
      List<Cell> cells,
      List<Chosen> chosen,
      Network network,
      double lowerBound) {
    return switch (request.order()) {
      case NAIVE, SIZE ->
          Timeline.predict(Router.route(cells, chosen, network, request.order()), chosen, network);
      case SEARCH, GREEDY -> baseline(request.order(), cells, chosen, network);
      case OPTIMAL -> OptimalOrder.moves(request, cells, chosen, network, lowerBound);
    };
  }

  private static List<Move> baseline(
      Order order, List<Cell> cells, List<Chosen> chosen, Network network) {
    Work work = Work.of(cells, chosen, network);
    int most = order == Order.SEARCH ? SearchOrder.MAX_DELIVERIES : GreedyOrder.MAX_DELIVERIES;
    List<Route> routes;
    if (work.deliveries().size() > most) {
      routes = Router.route(cells, chosen, network, Order.SIZE);
    } else {
      List<Piece> pieces =
          order == Order.SEARCH
              ? SearchOrder.order(work.deliveries(), network)
              : GreedyOrder.order(work.deliveries(), network);
      routes = new ArrayList<>(work.copies());
      routes.addAll(Router.route(pieces, network));
    }
    return Timeline.predict(routes, chosen, network);
  }

  /** The plan of moves that are proven already; {@code lowerBound} is that of the cells. */
  static Plan assemble(
      PlanRequest request,
      double lowerBound,
      List<Cell> cells,
      List<Chosen> chosen,
      List<Move> moves) {
    Traffic traffic = Traffic.of(moves, request.hosts());
    double end = moves.stream().mapToDouble(Move::end).max().orElse(0);
    return new Plan(
        request,
        chosen,
        cells.stream().map(Cell::task).toList(),
        moves,
        // Sums of chunks may round to a hair below the bound, which is one division.
        Math.max(end, lowerBound),
        lowerBound,
        traffic.sent(),
        traffic.received(),
        PlanDigest.of(request, chosen, moves));
  }

  private static String dump(PlanRequest request, List<Move> moves, String fault) {
    StringBuilder text = new StringBuilder("The plan failed its proof of coverage: ");
    text.append(fault).append(". Please report this with what follows.\n");
    request.tensors().stream()
        .limit(DUMPED_MOVES)
        .forEach(tensor -> text.append(tensor.describe()).append('\n'));
    moves.stream().limit(DUMPED_MOVES).forEach(move -> text.append(move).append('\n'));
    return text.append(moves.size()).append(" moves in all.").toString();
  }
}
