/* What waking costs on this machine, without any work: the floor under `crossmesh bench latency`.
 *
 *     cc -O2 -o wakeups benchmarks/agents/wakeups.c && ./wakeups [rounds]
 *
 * echo: 4 KiB there and back between two processes by blocking TCP sockets. chain: a byte in a pipe wakes a second
 * process, which sends 4 KiB by TCP to a third, which wakes a fourth by a pipe: the wake-ups of a small tensor's way
 * through two agents. Everybody sleeps for a millisecond before each. Then both again with all of them on one core. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 4096, PAUSE_US = 1000 };

static char payload[BYTES];

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void must(int holds, const char *what) {
  if (!holds) {
    perror(what);
    exit(1);
  }
}

static void take(int file, void *into, size_t bytes) {
  for (char *at = into; bytes > 0;) {
    ssize_t got = read(file, at, bytes);
    if (got <= 0) exit(0); /* the first process has ended */
    at += got;
    bytes -= got;
  }
}

static void give(int file, const void *from, size_t bytes) {
  must(write(file, from, bytes) == (ssize_t)bytes, "write");
}

static void await(int file) {
  struct pollfd poller = {file, POLLIN, 0};
  poll(&poller, 1, -1);
}

static void connected(int pair[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int one = 1, door = socket(AF_INET, SOCK_STREAM, 0);
  must(bind(door, (void *)&address, size) == 0 && listen(door, 1) == 0, "listen");
  getsockname(door, (void *)&address, &size);
  pair[0] = socket(AF_INET, SOCK_STREAM, 0);
  must(connect(pair[0], (void *)&address, size) == 0, "connect");
  pair[1] = accept(door, NULL, NULL);
  for (int i = 0; i < 2; i++) setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  close(door);
}

static int ascending(const void *a, const void *b) {
  long x = *(const long *)a, y = *(const long *)b;
  return (x > y) - (x < y);
}

static void show(const char *what, long *nanos, int rounds) {
  qsort(nanos, rounds, sizeof *nanos, ascending);
  printf("%-22s p50 %6.1f us  p99 %6.1f us\n", what, nanos[rounds / 2] / 1e3, nanos[rounds * 99 / 100] / 1e3);
}

static void measure(int rounds, const char *where) {
  int pipes[2][2], wire[2], line[2];
  must(pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0, "pipe");
  connected(wire);
  connected(line);
  pid_t children[3];
  if ((children[0] = fork()) == 0) { /* the sender's agent */
    for (char bell;;) {
      await(pipes[0][0]);
      take(pipes[0][0], &bell, 1);
      give(wire[0], payload, BYTES);
    }
  }
  if ((children[1] = fork()) == 0) { /* the receiver's agent */
    for (;;) {
      await(wire[1]);
      take(wire[1], payload, BYTES);
      give(pipes[1][1], "", 1);
    }
  }
  if ((children[2] = fork()) == 0) { /* the receiver */
    for (char what, bell;;) {
      take(line[1], &what, 1);
      if (what == 'e') {
        take(line[1], payload, BYTES);
        give(line[1], payload, BYTES);
      } else {
        await(pipes[1][0]);
        take(pipes[1][0], &bell, 1);
        long end = now();
        give(line[1], &end, sizeof end);
      }
    }
  }
  long *echoes = calloc(rounds, sizeof *echoes), *chains = calloc(rounds, sizeof *chains), end;
  for (int i = 0; i < rounds; i++) {
    give(line[0], "e", 1);
    usleep(PAUSE_US);
    long start = now();
    give(line[0], payload, BYTES);
    take(line[0], payload, BYTES);
    echoes[i] = now() - start;
    give(line[0], "r", 1);
    usleep(PAUSE_US);
    start = now();
    give(pipes[0][1], "", 1);
    take(line[0], &end, sizeof end);
    chains[i] = end - start;
  }
  for (int i = 0; i < 3; i++) {
    kill(children[i], SIGKILL);
    waitpid(children[i], NULL, 0);
  }
  char name[64];
  snprintf(name, sizeof name, "echo, %s", where);
  show(name, echoes, rounds);
  snprintf(name, sizeof name, "chain, %s", where);
  show(name, chains, rounds);
  free(echoes);
  free(chains);
}

int main(int count, char **words) {
  int rounds = count > 1 ? atoi(words[1]) : 3000;
  must(rounds > 0, "rounds");
  measure(rounds, "any core");
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  must(sched_setaffinity(0, sizeof first, &first) == 0, "sched_setaffinity");
  measure(rounds, "one core");
  return 0;
}
