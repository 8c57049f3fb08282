/* What UCX alone moves from one process to another when no buffer is still in the cache: the fair reference of
 * `crossmesh bench link`. ucx_perftest has one buffer on either side, which at 1 MiB never leaves the cache.
 *
 *     cc -O2 -o stream benchmarks/agents/stream.c -lucp -lucs && ./stream BYTES MESSAGES IN_FLIGHT WINDOW_BYTES
 *
 * Active messages, by rendezvous above UCX's threshold, as ucx_perftest's ucp_am_bw has them: IN_FLIGHT sends are under
 * way, and both sides go through WINDOW_BYTES of memory, one buffer a message. Writes GB/s (1e9 bytes), counted until the
 * receiver has said that all is there. UCX takes its settings from the environment. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <ucp/api/ucp.h>
#include <unistd.h>

enum { DATA, END, WARM_UP = 64 };

static size_t bytes, messages, in_flight, buffers;
static char *memory;
static ucp_worker_h worker;
static ucp_ep_h peer;
static size_t announced, landed, ended;

static void must(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "stream: %s failed\n", what);
    exit(1);
  }
}

static char *buffer(size_t message) { return memory + message % buffers * bytes; }

/* Both processes tell each other where their workers are. */
static void connect_by(int socket) {
  ucp_config_t *config;
  ucp_context_h context;
  ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES, .features = UCP_FEATURE_AM};
  ucp_worker_params_t of_worker = {0};
  ucp_address_t *own;
  size_t size, theirs;
  must(ucp_config_read(NULL, NULL, &config) == UCS_OK, "ucp_config_read");
  must(ucp_init(&params, config, &context) == UCS_OK, "ucp_init");
  must(ucp_worker_create(context, &of_worker, &worker) == UCS_OK, "ucp_worker_create");
  must(ucp_worker_get_address(worker, &own, &size) == UCS_OK, "ucp_worker_get_address");
  must(write(socket, &size, sizeof size) == sizeof size, "write");
  must(write(socket, own, size) == (ssize_t)size, "write");
  must(recv(socket, &theirs, sizeof theirs, MSG_WAITALL) == sizeof theirs, "recv");
  ucp_address_t *address = malloc(theirs);
  must(recv(socket, address, theirs, MSG_WAITALL) == (ssize_t)theirs, "recv");
  ucp_ep_params_t to = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS, .address = address};
  must(ucp_ep_create(worker, &to, &peer) == UCS_OK, "ucp_ep_create");
}

static void handle(unsigned id, ucp_am_recv_callback_t callback) {
  ucp_am_handler_param_t param = {
      .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_FLAGS,
      .id = id, .cb = callback, .flags = UCP_AM_FLAG_WHOLE_MSG};
  must(ucp_worker_set_am_recv_handler(worker, &param) == UCS_OK, "ucp_worker_set_am_recv_handler");
}

static void on_landed(void *request, ucs_status_t status, size_t length, void *data) {
  must(status == UCS_OK, "a receive");
  landed++;
  ucp_request_free(request);
}

static ucs_status_t on_data(void *data_arg, const void *header, size_t header_size, void *data, size_t length,
                            const ucp_am_recv_param_t *param) {
  char *place = buffer(announced++);
  if (!(param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)) {
    memcpy(place, data, length);
    landed++;
    return UCS_OK;
  }
  ucp_request_param_t how = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FLAG_NO_IMM_CMPL,
                             .cb.recv_am = on_landed};
  ucs_status_ptr_t request = ucp_am_recv_data_nbx(worker, data, place, length, &how);
  must(!UCS_PTR_IS_ERR(request), "ucp_am_recv_data_nbx");
  return UCS_INPROGRESS;
}

static ucs_status_t on_end(void *data_arg, const void *header, size_t header_size, void *data, size_t length,
                           const ucp_am_recv_param_t *param) {
  ended++;
  return UCS_OK;
}

static size_t sending;

static void on_sent(void *request, ucs_status_t status, void *data) {
  must(status == UCS_OK, "a send");
  sending--;
  ucp_request_free(request);
}

static void post(unsigned id, const void *from, size_t length) {
  ucp_request_param_t how = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK, .cb.send = on_sent};
  ucs_status_ptr_t request = ucp_am_send_nbx(peer, id, NULL, 0, from, length, &how);
  must(!UCS_PTR_IS_ERR(request), "ucp_am_send_nbx");
  sending += request != NULL;
}

static void send_all(size_t first, size_t count, size_t end) {
  for (size_t i = first; i < first + count; i++) {
    while (sending >= in_flight) ucp_worker_progress(worker);
    post(DATA, buffer(i), bytes);
  }
  while (ended < end) ucp_worker_progress(worker);
}

static void receive_all(size_t count) {
  while (landed < count) ucp_worker_progress(worker);
  post(END, NULL, 0);
  while (sending > 0) ucp_worker_progress(worker);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: stream BYTES MESSAGES IN_FLIGHT WINDOW_BYTES\n");
    return 2;
  }
  bytes = strtoull(argv[1], NULL, 10), messages = strtoull(argv[2], NULL, 10);
  in_flight = strtoull(argv[3], NULL, 10), buffers = strtoull(argv[4], NULL, 10) / bytes;
  buffers = buffers > in_flight ? buffers : in_flight;
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  pid_t receiver = fork();
  must(receiver >= 0, "fork");
  if (receiver == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(pair[receiver != 0]);
  int other = pair[receiver == 0];
  memory = mmap(NULL, buffers * bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  must(memory != MAP_FAILED, "mmap");
  memset(memory, 1, buffers * bytes);
  connect_by(other);
  handle(DATA, on_data), handle(END, on_end);
  char ready = 0;
  must(write(other, &ready, 1) == 1 && read(other, &ready, 1) == 1, "a greeting");
  if (receiver == 0) {
    receive_all(WARM_UP), receive_all(WARM_UP + messages);
    return read(other, &ready, 1); /* an end that left first would look like a failure */
  }
  send_all(0, WARM_UP, 1);
  double start = now();
  send_all(WARM_UP, messages, 2);
  printf("%.3f\n", bytes * messages / (now() - start) / 1e9);
  close(other);
  waitpid(receiver, NULL, 0);
  return 0;
}
