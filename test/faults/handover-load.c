// handover-load: connections of every kind that must outlive an agent, every byte compared.
// Build: gcc -O2 -Wall -pthread -o handover-load handover-load.c
//
//   handover-load serve PORT
//   handover-load run ADDRESS PORT BUSY BULK RATE
//     BUSY connections that echo blocks, BULK streams each way, RATE new connections a second, and a
//     few that hear the server first, or have half-closed and get a long answer slowly.
//   SIGUSR1 begins a new epoch (a replacement), SIGTERM ends it. One JSON line at the end; the pauses
//   are the longest round trip of each busy connection in each epoch.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PERIOD 65521
#define MOST_EPOCHS 256
#define MOST_BUSY 2000
#define BLOCK 16384
static unsigned char pattern[PERIOD + 65536];
static atomic_int over, epoch;
static atomic_long blocks, made, broken, refused, bulk_bytes, others;
static float longest[MOST_BUSY][MOST_EPOCHS];
static struct sockaddr_in to;
static int rate, makers = 32;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static void pause_s(double s) {
  if (s <= 0)
    return;
  struct timespec t = {(time_t)s, (long)((s - (time_t)s) * 1e9)};
  nanosleep(&t, 0);
}
static int bad(const char *what, const char *found) {
  atomic_fetch_add(&broken, 1);
  fprintf(stderr, "broken: %s: %s (errno %s)\n", what, found, strerror(errno));
  return -1;
}
static int put(int s, const void *from, size_t n) {
  for (size_t k = 0; k < n;) {
    ssize_t r = send(s, (const char *)from + k, n - k, MSG_NOSIGNAL);
    if (r <= 0)
      return -1;
    k += r;
  }
  return 0;
}
static int get(int s, void *into, size_t n) {
  for (size_t k = 0; k < n;) {
    ssize_t r = recv(s, (char *)into + k, n - k, 0);
    if (r <= 0) {
      if (r == 0)
        errno = 0;
      return -1;
    }
    k += r;
  }
  return 0;
}
static int dial(char mode) {
  int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(s, (void *)&to, sizeof to) < 0 || put(s, &mode, 1) < 0) {
    close(s);
    return -1;
  }
  return s;
}

// ---------- server ----------
static void sink(int s) {
  unsigned char b[65536];
  uint64_t at = 0, ok = 1;
  for (;;) {
    ssize_t r = recv(s, b, sizeof b, 0);
    if (r < 0)
      return;
    if (r == 0)
      break;
    if (memcmp(b, pattern + at % PERIOD, r))
      ok = 0;
    at += r;
  }
  uint64_t answer[2] = {at, ok};
  put(s, answer, sizeof answer);
}
static void source(int s) {
  uint64_t at = 0;
  char c;
  while (recv(s, &c, 1, MSG_DONTWAIT) != 0) {
    if (put(s, pattern + at % PERIOD, 32768) < 0)
      return;
    at += 32768;
  }
  shutdown(s, SHUT_WR);
  put(s, &at, 0);
}
static void late(int s) { // what came until the FIN, slowly, for as long as it lasts
  char b[65536];
  uint64_t seconds = 0;
  if (get(s, &seconds, sizeof seconds) < 0 || recv(s, b, sizeof b, 0) != 0)
    return;
  double end = now() + seconds;
  for (uint64_t at = 0; now() < end; at += 4096) {
    if (put(s, pattern + at % PERIOD, 4096) < 0)
      return;
    pause_s(0.02);
  }
}
static void *serve_one(void *p) {
  int s = (int)(long)p;
  char mode, b[65536];
  ssize_t r;
  if (recv(s, &mode, 1, 0) == 1) {
    if (mode == 'G' && put(s, pattern, 1000) < 0)
      mode = 0;
    if (mode == 'V')
      sink(s);
    else if (mode == 'S')
      source(s);
    else if (mode == 'H')
      late(s);
    else
      while ((r = recv(s, b, sizeof b, 0)) > 0 && put(s, b, r) == 0)
        ;
  }
  close(s);
  return 0;
}
static int serve(int port) {
  int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (bind(l, (void *)&a, sizeof a) < 0 || listen(l, 4096) < 0)
    return perror("listen"), 1;
  printf("serving\n");
  fflush(stdout);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 256 * 1024);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int s = accept4(l, 0, 0, SOCK_CLOEXEC);
    if (s < 0)
      continue;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_t t;
    if (pthread_create(&t, &attr, serve_one, (void *)(long)s))
      close(s);
  }
}

// ---------- client ----------
static void *busy(void *p) {
  long me = (long)p;
  unsigned seed = me + 1;
  char out[BLOCK], in[BLOCK];
  int s = dial('E');
  if (s < 0)
    return bad("a busy connection", "refused"), NULL;
  while (!over) {
    int n = 1 + rand_r(&seed) % BLOCK;
    for (int i = 0; i < n; i += 1)
      out[i] = (char)(seed >> (i & 7)) ^ (char)i;
    double t = now();
    int e = epoch;
    if (put(s, out, n) < 0 || get(s, in, n) < 0)
      return bad("a busy connection", "cut"), NULL;
    if (memcmp(out, in, n))
      return bad("a busy connection", "other bytes"), NULL;
    float took = now() - t;
    // What began in one epoch and ended in the next belongs to both.
    for (int i = e; i <= epoch; i += 1)
      if (took > longest[me][i])
        longest[me][i] = took;
    blocks += 1;
    pause_s((50 + rand_r(&seed) % 100) * 1e-3);
  }
  close(s);
  return 0;
}
static void *bulk_up(void *p) {
  uint64_t at = 0, answer[2];
  int s = dial('V');
  if (s < 0)
    return bad("a stream up", "refused"), NULL;
  while (!over) {
    if (put(s, pattern + at % PERIOD, 32768) < 0)
      return bad("a stream up", "cut"), NULL;
    at += 32768;
    bulk_bytes += 32768;
    pause_s((long)p * 1e-6);
  }
  shutdown(s, SHUT_WR);
  if (get(s, answer, sizeof answer) < 0)
    return bad("a stream up", "no answer at its end"), NULL;
  if (answer[0] != at || !answer[1])
    return bad("a stream up", "other bytes"), NULL;
  close(s);
  return 0;
}
static void *bulk_down(void *p) {
  unsigned char b[65536];
  uint64_t at = 0;
  int s = dial('S'), ended = 0;
  if (s < 0)
    return bad("a stream down", "refused"), NULL;
  for (;;) {
    ssize_t r = recv(s, b, 32768, 0);
    if (r == 0 && ended)
      break;
    if (r <= 0)
      return bad("a stream down", "cut"), NULL;
    if (memcmp(b, pattern + at % PERIOD, r))
      return bad("a stream down", "other bytes"), NULL;
    at += r;
    bulk_bytes += r;
    if (over && !ended)
      ended = shutdown(s, SHUT_WR) == 0;
    pause_s((long)p * 1e-6);
  }
  close(s);
  return 0;
}
static void *first(void *p) { // the server speaks first; then silence, and a word at the end
  unsigned char b[1000];
  int s = dial('G');
  if (s < 0 || get(s, b, 1000) < 0 || memcmp(b, pattern, 1000))
    return bad("a server that speaks first", "no greeting"), NULL;
  while (!over)
    pause_s(0.05);
  if (put(s, "still here", 10) < 0 || get(s, b, 10) < 0 || memcmp(b, "still here", 10))
    return bad("a silent connection", "cut"), NULL;
  others += 1;
  close(s);
  return 0;
}
static void *half(void *p) { // we have ended our side; answers come for 3 s
  unsigned char b[65536];
  while (!over) {
    uint64_t at = 0, seconds = 3;
    int s = dial('H');
    if (s < 0 || put(s, &seconds, sizeof seconds) < 0)
      return bad("a half-closed connection", "refused"), NULL;
    shutdown(s, SHUT_WR);
    for (;;) {
      ssize_t r = recv(s, b, sizeof b, 0);
      if (r < 0)
        return bad("a half-closed connection", "cut"), NULL;
      if (r == 0)
        break;
      if (memcmp(b, pattern + at % PERIOD, r))
        return bad("a half-closed connection", "other bytes"), NULL;
      at += r;
    }
    if (at == 0 || at % 4096)
      return bad("a half-closed connection", "ended too early"), NULL;
    others += 1;
    close(s);
  }
  return 0;
}
static void *maker(void *p) {
  char b[64];
  double each = (double)makers / rate, next = now() + each * (long)p / makers;
  while (!over) {
    pause_s(next - now());
    next += each;
    if (next < now() - 1)
      next = now(); // far behind: the machine is slower than the rate
    int s = dial('E');
    if (s < 0) {
      refused += 1;
      bad("a new connection", "refused");
      continue;
    }
    if (put(s, pattern, 64) < 0 || get(s, b, 64) < 0 || memcmp(b, pattern, 64))
      bad("a new connection", "cut");
    shutdown(s, SHUT_WR);
    if (recv(s, b, 1, 0) != 0)
      bad("a new connection", "no end");
    made += 1;
    close(s);
  }
  return 0;
}
static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}
static int run(int n_busy, int n_bulk) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 512 * 1024);
  static pthread_t threads[MOST_BUSY + 256];
  int n = 0;
#define GO(f, arg) pthread_create(&threads[n++], &attr, f, (void *)(long)(arg))
  for (int i = 0; i < n_busy; i += 1)
    GO(busy, i);
  for (int i = 0; i < n_bulk; i += 1) {
    GO(bulk_up, i == 0 ? 500 : 5000);
    GO(bulk_down, i == 0 ? 500 : 5000);
  }
  for (int i = 0; i < 4; i += 1) {
    GO(first, 0);
    GO(half, 0);
  }
  for (int i = 0; rate > 0 && i < makers; i += 1)
    GO(maker, i);
  printf("running\n");
  fflush(stdout);
  double began = now();
  for (int got = 0; got != SIGTERM;) {
    sigwait(&set, &got);
    if (got == SIGUSR1 && epoch < MOST_EPOCHS - 1)
      epoch += 1;
  }
  double took = now() - began;
  over = 1;
  for (int i = 0; i < n; i += 1)
    pthread_join(threads[i], 0);
  static float all[MOST_BUSY * MOST_EPOCHS];
  size_t samples = 0;
  for (int i = 0; i < n_busy; i += 1)
    for (int e = 1; e <= epoch; e += 1)
      if (longest[i][e] > 0)
        all[samples++] = longest[i][e];
  qsort(all, samples, sizeof *all, ascending);
#define AT(q) (samples == 0 ? 0 : all[(size_t)((samples - 1) * q)] * 1e3)
  printf("{\"seconds\":%.1f,\"blocks\":%ld,\"bulkMB\":%ld,\"newConnections\":%ld,\"perSecond\":%.0f,"
         "\"others\":%ld,\"broken\":%ld,\"refused\":%ld,\"epochs\":%d,"
         "\"pauseP50\":%.0f,\"pauseP99\":%.0f,\"pauseMax\":%.0f}\n",
         took, (long)blocks, (long)bulk_bytes >> 20, (long)made, made / took, (long)others,
         (long)broken, (long)refused, (int)epoch, AT(0.5), AT(0.99), AT(1.0));
  return broken != 0;
}
int main(int c, char **v) {
  signal(SIGPIPE, SIG_IGN);
  uint32_t x = 1;
  for (int i = 0; i < PERIOD; i += 1)
    pattern[i] = (x = x * 1664525 + 1013904223) >> 24;
  memcpy(pattern + PERIOD, pattern, 65536 < PERIOD ? 65536 : PERIOD);
  for (int i = PERIOD * 2; i < PERIOD + 65536; i += 1)
    pattern[i] = pattern[i % PERIOD];
  if (c == 3 && !strcmp(v[1], "serve"))
    return serve(atoi(v[2]));
  if (c != 7 || strcmp(v[1], "run"))
    return fprintf(stderr, "usage: see the head of handover-load.c\n"), 64;
  to.sin_family = AF_INET;
  to.sin_port = htons(atoi(v[3]));
  inet_pton(AF_INET, v[2], &to.sin_addr);
  rate = atoi(v[6]);
  return run(atoi(v[4]), atoi(v[5]));
}
