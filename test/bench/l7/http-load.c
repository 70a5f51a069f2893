// http-load: a small HTTP/1.1 load generator and server for side-by-side measurements of proxies.
// Build: gcc -O2 -Wall -o http-load http-load.c        (Linux, no libraries)
//
//   http-load serve -p 7001[-7002]                  answers GET /N with N bytes, one epoll thread
//   http-load run -a IP -p PORT -n 32 -s 1024 -t 4 -w 1 [-r RATE] [-P pids]
// Each connection has one request under way; -r sends on a schedule (open loop) and counts latency from
// the intended time. -P a,b: processes whose CPU time is counted. One JSON line on stdout; exit 2 when
// nothing moved for 5 s, 3 when an answer was not 200 or not of the length asked for.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;
static int ep, one = 1;
static u64 now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void die(const char *m) {
  fprintf(stderr, "http-load: %s: %s\n", m, strerror(errno));
  exit(1);
}
static void watch(int op, int fd, uint32_t ev, void *p) {
  struct epoll_event e = {.events = ev, .data.ptr = p};
  if (epoll_ctl(ep, op, fd, &e))
    die("epoll_ctl");
}

// ---------- server: one request at a time and connection; heads fit one buffer ----------
#define HEAD 16384
struct sc {
  int fd, listens, n;
  char *in, *out;
  size_t at, len;
};
static char *body;
#define MOST (1 << 20)
static int flush(struct sc *c) {
  while (c->at < c->len) {
    ssize_t w = send(c->fd, c->out + c->at, c->len - c->at, MSG_NOSIGNAL);
    if (w < 0)
      return errno == EAGAIN ? 0 : -1;
    c->at += w;
  }
  c->at = c->len = 0;
  return 1;
}
static int serve(struct sc *c) {
  for (;;) {
    if (c->len) {
      int f = flush(c);
      if (f <= 0)
        return f;
    }
    char *end;
    while (!(end = memmem(c->in, c->n, "\r\n\r\n", 4))) {
      if (c->n == HEAD)
        return -1;
      ssize_t r = recv(c->fd, c->in + c->n, HEAD - c->n, 0);
      if (r == 0 || (r < 0 && errno != EAGAIN))
        return -1;
      if (r < 0)
        return 0;
      c->n += r;
    }
    size_t size = 0;
    char *slash = memchr(c->in, '/', end - c->in);
    if (slash)
      size = strtoul(slash + 1, 0, 10);
    if (size > MOST)
      return -1;
    int head = sprintf(c->out,
                       "HTTP/1.1 200 OK\r\nserver: load\r\ncontent-type: application/octet-stream\r\n"
                       "cache-control: no-store\r\ncontent-length: %zu\r\n\r\n",
                       size);
    memcpy(c->out + head, body, size);
    c->len = head + size;
    int used = end + 4 - c->in;
    memmove(c->in, c->in + used, c->n - used);
    c->n -= used;
  }
}
static void server(int lo, int hi) {
  body = malloc(MOST);
  memset(body, 'x', MOST);
  for (int p = lo; p <= hi; p++) {
    struct sc *l = calloc(1, sizeof *l);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    l->listens = 1;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p)};
    if (bind(l->fd, (void *)&a, sizeof a) || listen(l->fd, 4096))
      die("bind");
    watch(EPOLL_CTL_ADD, l->fd, EPOLLIN, l);
  }
  struct epoll_event e[256];
  for (;;) {
    int n = epoll_wait(ep, e, 256, -1);
    for (int i = 0; i < n; i++) {
      struct sc *c = e[i].data.ptr;
      if (!c->listens) {
        if (serve(c) < 0) {
          close(c->fd);
          free(c->in);
          free(c->out);
          free(c);
        }
        continue;
      }
      int s = accept4(c->fd, 0, 0, SOCK_NONBLOCK);
      if (s < 0)
        continue;
      setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
      struct sc *k = calloc(1, sizeof *k);
      k->fd = s;
      k->in = malloc(HEAD);
      k->out = malloc(MOST + 512);
      watch(EPOLL_CTL_ADD, s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, k);
    }
  }
}

// ---------- client ----------
static u64 *lat;
static size_t nlat, caplat;
static int cmp(const void *a, const void *b) {
  u64 x = *(const u64 *)a, y = *(const u64 *)b;
  return x < y ? -1 : x > y;
}
static double q(double f) {
  if (!nlat)
    return 0;
  size_t i = f * nlat;
  return lat[i < nlat ? i : nlat - 1] / 1e3;
}
struct cc {
  int fd, busy, n;
  u64 from;
  size_t left; // of the body; all of it while the head is read
  char in[65536];
};
static char req[1024];
static int reqlen;
static size_t want;
static void ask(struct cc *c, u64 from) {
  c->from = from;
  c->busy = 1;
  c->n = 0;
  c->left = 0;
  if (send(c->fd, req, reqlen, MSG_NOSIGNAL) != reqlen)
    die("send");
}
static void wrong(const char *what, struct cc *c) {
  fprintf(stderr, "http-load: %s: %.*s\n", what, c->n < 300 ? c->n : 300, c->in);
  exit(3);
}
/** Reads what has come; 1 when the answer is complete. */
static int answer(struct cc *c) {
  for (;;) {
    if (c->left) {
      ssize_t r = recv(c->fd, c->in, c->left < sizeof c->in ? c->left : sizeof c->in, 0);
      if (r < 0 && errno == EAGAIN)
        return 0;
      if (r <= 0)
        wrong("the connection ended in an answer", c);
      c->left -= r;
      if (!c->left)
        return 1;
      continue;
    }
    ssize_t r = recv(c->fd, c->in + c->n, sizeof c->in - c->n - 1, 0);
    if (r < 0 && errno == EAGAIN)
      return 0;
    if (r <= 0)
      wrong("the connection ended", c);
    c->n += r;
    c->in[c->n] = 0;
    char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
    if (!end)
      continue;
    if (strncmp(c->in, "HTTP/1.1 200", 12))
      wrong("not 200", c);
    char *cl = strcasestr(c->in, "content-length:");
    if (!cl || cl > end || strtoul(cl + 15, 0, 10) != want)
      wrong("another length", c);
    size_t had = c->in + c->n - (end + 4);
    if (had > want)
      wrong("more than was asked for", c);
    c->left = want - had;
    if (!c->left)
      return 1;
  }
}
static int pids[64], npids;
static double cpu(void) {
  double sum = 0;
  for (int i = 0; i < npids; i++) {
    char f[64], b[1024];
    unsigned long long ut = 0, st = 0;
    snprintf(f, sizeof f, "/proc/%d/stat", pids[i]);
    FILE *h = fopen(f, "r");
    if (!h)
      continue;
    size_t k = fread(b, 1, 1023, h);
    fclose(h);
    b[k] = 0;
    char *p = strrchr(b, ')');
    if (p && sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ut, &st) == 2)
      sum += (ut + st) / (double)sysconf(_SC_CLK_TCK);
  }
  return sum;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  ep = epoll_create1(0);
  char *address = "127.0.0.1";
  int n = 1, lo = 7001, hi = 0, o;
  double secs = 3, warm = 0.5, rate = 0;
  char *mode = argc > 1 ? argv[1] : "";
  optind = 2;
  while ((o = getopt(argc, argv, "a:p:n:s:t:w:r:P:")) > 0)
    switch (o) {
    case 'a': address = optarg; break;
    case 'p': sscanf(optarg, "%d-%d", &lo, &hi); break;
    case 'n': n = atoi(optarg); break;
    case 's': want = strtoul(optarg, 0, 10); break;
    case 't': secs = atof(optarg); break;
    case 'w': warm = atof(optarg); break;
    case 'r': rate = atof(optarg); break;
    case 'P':
      for (char *p = strtok(optarg, ","); p && npids < 64; p = strtok(0, ","))
        pids[npids++] = atoi(p);
      break;
    default: return 1;
    }
  if (!strcmp(mode, "serve"))
    server(lo, hi ? hi : lo);
  reqlen = snprintf(req, sizeof req,
                    "GET /%zu HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: http-load/1\r\n"
                    "Accept: */*\r\nX-Env: prod\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n",
                    want);
  struct sockaddr_in dst = {.sin_family = AF_INET, .sin_port = htons(lo)};
  inet_pton(AF_INET, address, &dst.sin_addr);
  struct cc *all = calloc(n, sizeof *all);
  for (int i = 0; i < n; i++) {
    struct cc *c = all + i;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&dst, sizeof dst))
      die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, 4);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK))
      die("fcntl");
    watch(EPOLL_CTL_ADD, c->fd, EPOLLIN | EPOLLRDHUP, c);
  }
  u64 begin = now(), from = begin + (u64)(warm * 1e9), end = from + (u64)(secs * 1e9);
  u64 moved = begin, step = rate > 0 ? (u64)(1e9 / rate) : 0, due = begin, done = 0;
  double cpu0 = 0;
  int counting = 0, next = 0;
  caplat = 1 << 20;
  lat = malloc(caplat * sizeof *lat);
  if (!step)
    for (int i = 0; i < n; i++)
      ask(all + i, now());
  struct epoll_event e[256];
  for (;;) {
    u64 t = now();
    if (!counting && t >= from) {
      counting = 1;
      cpu0 = cpu();
      from = t;
    }
    if (t >= end)
      break;
    if (t - moved > 5000000000ull) {
      fprintf(stderr, "http-load: nothing moved for 5 s\n");
      return 2;
    }
    // On schedule: whoever is free takes what is due; what is late keeps its intended time.
    for (int k = 0; step && due <= t && k < n; k++) {
      struct cc *c = all + next;
      next = (next + 1) % n;
      if (c->busy)
        continue;
      ask(c, due);
      due += step;
    }
    int wait = step ? (due > t ? (int)((due - t) / 1000000) : 1) : 100;
    int r = epoll_wait(ep, e, 256, wait > 100 ? 100 : wait);
    for (int i = 0; i < r; i++) {
      struct cc *c = e[i].data.ptr;
      if (!answer(c))
        continue;
      t = now();
      moved = t;
      c->busy = 0;
      if (counting) {
        if (nlat == caplat)
          lat = realloc(lat, (caplat *= 2) * sizeof *lat);
        lat[nlat++] = t - c->from;
        done++;
      }
      if (!step)
        ask(c, t);
    }
  }
  double took = (now() - from) / 1e9, used = cpu() - cpu0;
  qsort(lat, nlat, sizeof *lat, cmp);
  printf("{\"rate\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"cpu_ms_per_1k\":%.3f,\"cpu\":%.3f}\n",
         done / took, q(.5), q(.99), q(.999), done ? used * 1e6 / done : 0, used / took);
  return 0;
}
