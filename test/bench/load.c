// load: one small TCP load generator and server for side-by-side proxy measurements.
// Build: gcc -O2 -Wall -o load load.c        (Linux >= 5.11, no libraries)
//
//   load serve  -p 7000[-7031]                      echo / sink / source, one epoll thread
//   load stream -a IP -p PORT -n 8 -d up|down|bi -t 4 -w 1 -P pids
//   load rr     -a IP -p PORT -n 32 -s 1024 -t 4 -w 1 [-r RATE] -P pids    (-r: open loop, latency
//   from the intended time) load crr    -a IP -p PORT -n 8 -t 4 -w 1 [-g] -P pids (-g: wait for the
//   peer's FIN after ours) load conns  -a IP -p PORT -n 5000 -t 2 -P pids (hold; RSS/PSS before and
//   after)
// -P a,b : processes to account (each with its descendants); one CPU/RSS figure per entry
// One JSON line on stdout. Exit 2 when nothing moved for 5 s, 3 on connection errors.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;
static u64 now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void die(const char *m) {
  fprintf(stderr, "load: %s: %s\n", m, strerror(errno));
  exit(1);
}

// ---------- histogram: 1024 linear steps per power of two (0.1 %) ----------
#define SUB 10
static uint32_t *H;
static u64 Hn, Hmax;
static double Hsum;
static int hidx(u64 v) {
  if (v < (1u << SUB))
    return (int)v;
  int e = 63 - __builtin_clzll(v) - SUB;
  return ((e + 1) << SUB) + (int)((v >> e) - (1u << SUB));
}
static u64 hval(int i) {
  if (i < (1 << SUB))
    return i;
  int e = (i >> SUB) - 1;
  u64 m = (i & ((1 << SUB) - 1)) + (1u << SUB);
  return (m << e) + ((1ull << e) >> 1);
}
static void hadd(u64 v) {
  H[hidx(v)]++;
  Hn++;
  Hsum += v;
  if (v > Hmax)
    Hmax = v;
}
static double hq(double q) {
  u64 want = (u64)(q * Hn), s = 0;
  if (want >= Hn)
    want = Hn - 1;
  for (int i = 0; i < (60 << SUB); i++) {
    s += H[i];
    if (s > want)
      return hval(i) / 1e3;
  }
  return Hmax / 1e3;
}

// ---------- CPU and memory of process groups ----------
#define MAXG 8
static int ng, gp[MAXG], np_, gpid[1024], gof[1024];
static void groups(void) {
  static int pid[65536], par[65536];
  int n = 0;
  DIR *d = opendir("/proc");
  struct dirent *e;
  while ((e = readdir(d)) && n < 65536) {
    if (!isdigit(e->d_name[0]))
      continue;
    char f[64], b[512];
    snprintf(f, sizeof f, "/proc/%.20s/stat", e->d_name);
    FILE *h = fopen(f, "r");
    if (!h)
      continue;
    int k = fread(b, 1, 511, h);
    fclose(h);
    if (k <= 0)
      continue;
    b[k] = 0;
    char *p = strrchr(b, ')');
    if (!p)
      continue;
    pid[n] = atoi(e->d_name);
    sscanf(p + 4, "%d", &par[n]);
    n++;
  }
  closedir(d);
  np_ = 0;
  for (int g = 0; g < ng; g++)
    for (int i = 0; i < n; i++) {
      int p = pid[i], hops = 0;
      while (p > 1 && p != gp[g] && hops++ < 32) {
        int j = 0;
        while (j < n && pid[j] != p)
          j++;
        p = j < n ? par[j] : 0;
      }
      if (p == gp[g] && np_ < 1024) {
        gpid[np_] = pid[i];
        gof[np_++] = g;
      }
    }
}
static void cpu(double *out) { // seconds user+system per group
  for (int g = 0; g < ng; g++)
    out[g] = 0;
  for (int i = 0; i < np_; i++) {
    char f[64], b[1024];
    snprintf(f, sizeof f, "/proc/%d/stat", gpid[i]);
    FILE *h = fopen(f, "r");
    if (!h)
      continue;
    int k = fread(b, 1, 1023, h);
    fclose(h);
    b[k > 0 ? k : 0] = 0;
    char *p = strrchr(b, ')');
    unsigned long long ut, st;
    if (p && sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ut, &st) == 2)
      out[gof[i]] += (ut + st) / (double)sysconf(_SC_CLK_TCK);
  }
}
static double machine(void) {
  FILE *h = fopen("/proc/stat", "r");
  double v[8] = {0};
  if (fscanf(h, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
             v + 7) < 8)
    die("/proc/stat");
  fclose(h);
  return (v[0] + v[1] + v[2] + v[5] + v[6]) / sysconf(_SC_CLK_TCK);
}
static double selfcpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static void mem(double *rss, double *pss) {
  for (int g = 0; g < ng; g++)
    rss[g] = pss[g] = 0;
  for (int i = 0; i < np_; i++) {
    char f[64], l[256];
    snprintf(f, sizeof f, "/proc/%d/smaps_rollup", gpid[i]);
    FILE *h = fopen(f, "r");
    if (!h)
      continue;
    long v;
    while (fgets(l, sizeof l, h)) {
      if (sscanf(l, "Rss: %ld", &v) == 1)
        rss[gof[i]] += v;
      else if (sscanf(l, "Pss: %ld", &v) == 1)
        pss[gof[i]] += v;
    }
    fclose(h);
  }
}

// ---------- sockets ----------
static struct sockaddr_in dst;
static int ep;
static int one = 1;
static int mk(void) {
  int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s < 0)
    die("socket");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
  if (connect(s, (void *)&dst, sizeof dst) && errno != EINPROGRESS)
    die("connect");
  return s;
}
static void watch(int op, int fd, uint32_t ev, u64 id) {
  struct epoll_event e = {.events = ev, .data.u64 = id};
  if (epoll_ctl(ep, op, fd, &e))
    die("epoll_ctl");
}
#define BUF 262144
static char buf[BUF], junk[BUF];
static void shift(int *c, char ***v) {
  (*c)--;
  (*v)++;
}

// ---------- server ----------
struct sc {
  int fd, mode;
  u64 got, acked;
  char *pend;
  int po, pn;
};
static void sclose(struct sc *c) {
  close(c->fd);
  free(c->pend);
  free(c);
}
static int flushp(struct sc *c) {
  while (c->pn) {
    int w = send(c->fd, c->pend + c->po, c->pn, MSG_NOSIGNAL);
    if (w < 0)
      return errno == EAGAIN ? 0 : -1;
    c->po += w;
    c->pn -= w;
  }
  return 1;
}
static int sserve(struct sc *c, uint32_t ev) {
  if (!c->mode) {
    char m;
    int r = recv(c->fd, &m, 1, 0);
    if (r == 0 || (r < 0 && errno != EAGAIN))
      return -1;
    if (r < 0)
      return 0;
    c->mode = m;
  }
  if (c->mode == 'S' || c->mode == 'B')
    for (int k = 0; k < 8; k++) {
      int r = recv(c->fd, junk, BUF, 0);
      if (r == 0 || (r < 0 && errno != EAGAIN))
        return -1;
      if (r < 0)
        break;
      c->got += r;
      if (c->mode == 'S' && c->got - c->acked >= (4u << 20)) {
        c->acked = c->got;
        if (send(c->fd, &c->acked, 8, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
          return -1;
      }
      if (r < BUF / 4)
        break;
    }
  if (c->mode == 'D' || c->mode == 'B')
    for (int k = 0; k < 8; k++) {
      int w = send(c->fd, buf, BUF / 2, MSG_NOSIGNAL);
      if (w < 0) {
        if (errno != EAGAIN)
          return -1;
        break;
      }
    }
  if (c->mode == 'D' && (ev & (EPOLLIN | EPOLLRDHUP))) {
    int r = recv(c->fd, junk, BUF, 0);
    if (r == 0 || (r < 0 && errno != EAGAIN))
      return -1;
  }
  if (c->mode == 'E')
    for (;;) {
      if (c->pn) {
        int f = flushp(c);
        if (f <= 0)
          return f;
      }
      int r = recv(c->fd, junk, 65536, 0);
      if (r == 0 || (r < 0 && errno != EAGAIN))
        return -1;
      if (r < 0)
        return 0;
      int w = send(c->fd, junk, r, MSG_NOSIGNAL);
      if (w < 0 && errno != EAGAIN)
        return -1;
      if (w < 0)
        w = 0;
      if (w < r) {
        if (!c->pend)
          c->pend = malloc(65536);
        memcpy(c->pend, junk + w, r - w);
        c->po = 0;
        c->pn = r - w;
        return 0;
      }
      if (r < 65536)
        return 0;
    }
  return 0;
}
static __attribute__((noreturn)) void server(int lo, int hi) {
  struct rlimit rl = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &rl);
  for (int p = lo; p <= hi; p++) {
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p)};
    if (bind(l, (void *)&a, sizeof a) || listen(l, 16384))
      die("bind");
    watch(EPOLL_CTL_ADD, l, EPOLLIN, (u64)l << 1 | 1);
  }
  struct epoll_event e[256];
  for (;;) {
    int n = epoll_wait(ep, e, 256, -1);
    for (int i = 0; i < n; i++) {
      if (e[i].data.u64 & 1) {
        int l = e[i].data.u64 >> 1;
        for (int k = 0; k < 64; k++) {
          int s = accept4(l, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
          if (s < 0)
            break;
          setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
          struct sc *c = calloc(1, sizeof *c);
          c->fd = s;
          watch(EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP, (u64)c);
        }
        continue;
      }
      struct sc *c = (void *)e[i].data.u64;
      int had = c->mode;
      if (sserve(c, e[i].events) < 0) {
        sclose(c);
        continue;
      }
      if (!had && (c->mode == 'D' || c->mode == 'B'))
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, (u64)c);
      if (c->mode == 'E') {
        if (c->pn)
          watch(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, (u64)c);
        else if (e[i].events & EPOLLOUT)
          watch(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLRDHUP, (u64)c);
      }
    }
  }
}

// ---------- client ----------
struct cc {
  int fd, st, got, sent;
  u64 t, next, bytes, ack;
  int an;
};
static struct cc *C;
static int N = 1, size = 1, warm_ms = 1000, secs_ms = 4000, graceful;
static double rate;
static char dir = 'u';
static long errors;
static double c0[MAXG], c1[MAXG], m0, m1, s0, s1;
static u64 T0, T1;
static int measuring;
static void begin(void) {
  cpu(c0);
  m0 = machine();
  s0 = selfcpu();
  T0 = now();
  measuring = 1;
}
static void finish(void) {
  T1 = now();
  cpu(c1);
  m1 = machine();
  s1 = selfcpu();
  measuring = 0;
}
static void arr(const char *k, double *v, const char *f) {
  printf(",\"%s\":[", k);
  for (int g = 0; g < ng; g++) {
    if (g)
      printf(",");
    printf(f, v[g]);
  }
  printf("]");
}
static double tail(void) {
  double d[MAXG], s = 0;
  for (int g = 0; g < ng; g++)
    s += d[g] = c1[g] - c0[g];
  arr("cpu_s", d, "%.2f");
  printf(",\"machine_cpu_s\":%.2f,\"self_cpu_s\":%.3f,\"secs\":%.3f", m1 - m0, s1 - s0,
         (T1 - T0) / 1e9);
  return s;
}
static void stuck(const char *m) {
  printf("{\"mode\":\"%s\",\"n\":%d,\"error\":\"no progress for 5 s\"}\n", m, N);
  exit(2);
}

static int do_stream(void) {
  char hdr = dir == 'u' ? 'S' : dir == 'd' ? 'D' : 'B';
  u64 start = now(), last = start, total = 0, base = 0, prev = 0;
  struct epoll_event e[256];
  for (int i = 0; i < N; i++) {
    C[i].fd = mk();
    watch(EPOLL_CTL_ADD, C[i].fd, EPOLLIN | EPOLLOUT, i);
  }
  for (;;) {
    int n = epoll_wait(ep, e, 256, 200);
    u64 t = now();
    for (int i = 0; i < n; i++) {
      struct cc *c = &C[e[i].data.u64];
      if (!c->st && (e[i].events & EPOLLOUT)) {
        if (send(c->fd, &hdr, 1, MSG_NOSIGNAL) != 1) {
          errors++;
          stuck("stream");
        }
        c->st = 1;
        if (hdr == 'D')
          watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, e[i].data.u64);
      }
      if (c->st && hdr != 'D' && (e[i].events & EPOLLOUT))
        for (int k = 0; k < 4; k++) {
          int w = send(c->fd, buf, BUF / 2, MSG_NOSIGNAL);
          if (w < 0) {
            if (errno != EAGAIN) {
              errors++;
              finish();
              goto out;
            }
            break;
          }
          if (hdr == 'B')
            total += w;
        }
      if (e[i].events & EPOLLIN) {
        if (hdr == 'S') {
          int r;
          while ((r = recv(c->fd, (char *)&c->ack + c->an, 8 - c->an, 0)) > 0) {
            c->an += r;
            if (c->an == 8) {
              total += c->ack - c->bytes;
              c->bytes = c->ack;
              c->an = 0;
            }
          }
          if (r == 0) {
            errors++;
            finish();
            goto out;
          }
        } else
          for (int k = 0; k < 4; k++) {
            int r = recv(c->fd, junk, BUF, 0);
            if (r == 0) {
              errors++;
              finish();
              goto out;
            }
            if (r < 0)
              break;
            total += r;
            if (r < BUF / 4)
              break;
          }
      }
      if (e[i].events & (EPOLLERR)) {
        errors++;
        finish();
        goto out;
      }
    }
    if (total != prev) {
      prev = total;
      last = t;
    } else if ((int64_t)(t - last) > 5000000000ll)
      stuck("stream");
    if (!measuring && (int64_t)(t - start) > warm_ms * 1000000ll) {
      begin();
      base = total;
    }
    if (measuring && (int64_t)(t - T0) > secs_ms * 1000000ll) {
      finish();
      break;
    }
  }
out:;
  double by = total - base, d = (T1 - T0) / 1e9;
  printf("{\"mode\":\"stream\",\"dir\":\"%s\",\"n\":%d,\"mbps\":%.1f,\"gbit\":%.3f,\"errors\":%ld",
         dir == 'u'   ? "up"
         : dir == 'd' ? "down"
                      : "bi",
         N, by / d / 1e6, by * 8 / d / 1e9, errors);
  double s = tail();
  printf(",\"cpu_per_gb\":%.3f,\"machine_cpu_per_gb\":%.3f}\n", s / (by / 1e9),
         (m1 - m0) / (by / 1e9));
  return errors ? 3 : 0;
}

static void rr_send(struct cc *c, u64 t, int first) {
  c->t = t;
  c->got = 0;
  if (first) {
    buf[0] = 'E';
  }
  int want = size + first, w = send(c->fd, buf, want, MSG_NOSIGNAL);
  c->sent = w < 0 ? 0 : w;
  if (w != want) {
    errors++;
    stuck("rr");
  }
  c->st = 2;
}
static int do_rr(void) {
  struct epoll_event e[256];
  u64 ops = 0, last = now(), start = last, late = 0;
  double iv = rate > 0 ? 1e9 * N / rate : 0;
  prctl(PR_SET_TIMERSLACK, 1);
  for (int i = 0; i < N; i++) {
    C[i].fd = mk();
    watch(EPOLL_CTL_ADD, C[i].fd, EPOLLOUT, i);
  }
  int open = 0;
  u64 nextany = 0;
  for (;;) {
    int n;
    if (rate > 0 && open == N) {
      u64 t = now();
      long long w = (long long)(nextany - t);
      if (w < 0)
        w = 0;
      struct timespec ts = {w / 1000000000, w % 1000000000};
      n = epoll_pwait2(ep, e, 256, &ts, 0);
    } else
      n = epoll_wait(ep, e, 256, 200);
    u64 t = now();
    for (int i = 0; i < n; i++) {
      struct cc *c = &C[e[i].data.u64];
      if (!c->st) {
        int er = 0;
        socklen_t l = 4;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &er, &l);
        if (er) {
          fprintf(stderr, "connect: %s\n", strerror(er));
          exit(3);
        }
        rr_send(c, t, 1);
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, e[i].data.u64);
        continue;
      }
      int r = recv(c->fd, junk, size - c->got, 0);
      if (r <= 0) {
        if (r < 0 && errno == EAGAIN)
          continue;
        fprintf(stderr, "rr: peer closed\n");
        exit(3);
      }
      c->got += r;
      if (c->got < size)
        continue;
      t = now();
      last = t;
      if (c->st == 2 && c->ack) {
        if (measuring) {
          hadd(t - c->t);
          ops++;
        }
      } else {
        c->ack = 1;
        open++;
        if (rate > 0) {
          c->next = t + (u64)(iv * (e[i].data.u64 + 1) / N);
          c->st = 1;
          continue;
        }
      }
      c->st = 1;
      if (rate <= 0)
        rr_send(c, t, 0);
    }
    if (rate > 0 && open == N) {
      nextany = ~0ull;
      t = now();
      for (int i = 0; i < N; i++) {
        struct cc *c = &C[i];
        if (c->st == 1 && c->next <= t) {
          if ((int64_t)(t - c->next) > 1000000)
            late++;
          u64 due = c->next;
          c->next += (u64)iv;
          rr_send(c, due, 0);
        }
        if (c->st == 1 && c->next < nextany)
          nextany = c->next;
      }
      if (nextany == ~0ull)
        nextany = t + 100000000;
    }
    if ((int64_t)(t - last) > 5000000000ll)
      stuck("rr");
    if (!measuring && open == N && (int64_t)(t - start) > warm_ms * 1000000ll) {
      begin();
      Hn = Hsum = Hmax = ops = 0;
      memset(H, 0, 4 * (60 << SUB));
    }
    if (measuring && (int64_t)(t - T0) > secs_ms * 1000000ll) {
      finish();
      break;
    }
  }
  double d = (T1 - T0) / 1e9;
  printf("{\"mode\":\"rr\",\"n\":%d,\"size\":%d,\"offered\":%.0f,\"rate\":%.0f,\"p50\":%.1f,"
         "\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"mean\":%.1f,\"late\":%lu",
         N, size, rate, ops / d, hq(.5), hq(.9), hq(.99), hq(.999), Hmax / 1e3, Hsum / Hn / 1e3,
         (unsigned long)late);
  double s = tail();
  printf(",\"cpu_ms_per_1k\":%.3f,\"machine_ms_per_1k\":%.3f}\n", s * 1e6 / ops,
         (m1 - m0) * 1e6 / ops);
  return 0;
}

static int do_crr(void) {
  struct epoll_event e[256];
  u64 ops = 0, last = now(), start = last;
  for (int i = 0; i < N; i++) {
    C[i].t = now();
    C[i].fd = mk();
    C[i].st = 0;
    watch(EPOLL_CTL_ADD, C[i].fd, EPOLLOUT, i);
  }
  for (;;) {
    int n = epoll_wait(ep, e, 256, 200);
    u64 t = now();
    for (int i = 0; i < n; i++) {
      struct cc *c = &C[e[i].data.u64];
      int again = 0;
      if (!c->st) {
        int er = 0;
        socklen_t l = 4;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &er, &l);
        if (er || send(c->fd, "Ex", 2, MSG_NOSIGNAL) != 2) {
          errors++;
          again = 1;
        } else {
          c->st = 1;
          watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, e[i].data.u64);
        }
      } else {
        int r = recv(c->fd, junk, 16, 0);
        if (r < 0 && errno == EAGAIN)
          continue;
        if (c->st == 1) {
          if (r <= 0) {
            errors++;
            again = 1;
          } else {
            t = now();
            if (measuring) {
              hadd(t - c->t);
              ops++;
            }
            last = t;
            if (graceful) {
              shutdown(c->fd, SHUT_WR);
              c->st = 2;
            } else
              again = 1;
          }
        } else {
          again = 1;
          if (r != 0)
            errors++;
        }
      }
      if (again) {
        close(c->fd);
        c->t = now();
        c->fd = mk();
        c->st = 0;
        watch(EPOLL_CTL_ADD, c->fd, EPOLLOUT, e[i].data.u64);
      }
    }
    t = now();
    if ((int64_t)(t - last) > 5000000000ll)
      stuck("crr");
    if (!measuring && (int64_t)(t - start) > warm_ms * 1000000ll) {
      begin();
      Hn = Hsum = Hmax = ops = errors = 0;
      memset(H, 0, 4 * (60 << SUB));
    }
    if (measuring && (int64_t)(t - T0) > secs_ms * 1000000ll) {
      finish();
      break;
    }
  }
  double d = (T1 - T0) / 1e9;
  printf("{\"mode\":\"crr\",\"n\":%d,\"rate\":%.0f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":"
         "%.1f,\"errors\":%ld",
         N, ops / d, hq(.5), hq(.99), hq(.999), Hmax / 1e3, errors);
  double s = tail();
  printf(",\"cpu_ms_per_1k\":%.3f,\"machine_ms_per_1k\":%.3f}\n", s * 1e6 / ops,
         (m1 - m0) * 1e6 / ops);
  return 0;
}

static int do_conns(void) {
  struct rlimit rl = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &rl);
  double r0[MAXG], p0[MAXG], r1[MAXG], p1[MAXG], d[MAXG];
  struct epoll_event e[256];
  int made = 0, done = 0, fly = 0;
  mem(r0, p0);
  begin();
  u64 last = now();
  while (done < N) {
    while (fly < 64 && made < N) {
      C[made].fd = mk();
      C[made].st = 0;
      watch(EPOLL_CTL_ADD, C[made].fd, EPOLLOUT, made);
      made++;
      fly++;
    }
    int n = epoll_wait(ep, e, 256, 200);
    u64 t = now();
    if ((int64_t)(t - last) > 5000000000ll)
      break;
    for (int i = 0; i < n; i++) {
      struct cc *c = &C[e[i].data.u64];
      if (!c->st) {
        if (send(c->fd, "Ex", 2, MSG_NOSIGNAL) != 2) {
          errors++;
          done++;
          fly--;
          close(c->fd);
          c->fd = -1;
          continue;
        }
        c->st = 1;
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, e[i].data.u64);
      } else if (c->st == 1) {
        int r = recv(c->fd, junk, 16, 0);
        if (r < 0 && errno == EAGAIN)
          continue;
        if (r <= 0) {
          errors++;
          close(c->fd);
          c->fd = -1;
        } else {
          c->st = 2;
        }
        done++;
        fly--;
        last = t;
      } else {
        int r = recv(c->fd, junk, 16, 0);
        if (r == 0 || (r < 0 && errno != EAGAIN)) {
          errors++;
          close(c->fd);
          c->fd = -1;
        }
      }
    }
  }
  finish();
  usleep(secs_ms * 1000);
  groups();
  mem(r1, p1);
  int alive = 0;
  for (int i = 0; i < made; i++)
    if (C[i].fd >= 0 && C[i].st == 2 && send(C[i].fd, "y", 1, MSG_NOSIGNAL) == 1)
      alive++;
  int answered = 0;
  u64 t0 = now();
  while (answered < alive && now() - t0 < 5000000000ull) {
    int n = epoll_wait(ep, e, 256, 500);
    for (int i = 0; i < n; i++) {
      struct cc *c = &C[e[i].data.u64];
      int r = recv(c->fd, junk, 16, 0);
      if (r == 1)
        answered++;
      else if (r == 0 || (r < 0 && errno != EAGAIN)) {
        epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, 0);
      }
    }
  }
  printf("{\"mode\":\"conns\",\"n\":%d,\"ok\":%d,\"answered\":%d,\"errors\":%ld,\"setup_s\":%.2f",
         N, done - (int)errors, answered, errors, (T1 - T0) / 1e9);
  tail();
  arr("rss0_kb", r0, "%.0f");
  arr("rss_kb", r1, "%.0f");
  arr("pss0_kb", p0, "%.0f");
  arr("pss_kb", p1, "%.0f");
  for (int g = 0; g < ng; g++)
    d[g] = (p1[g] - p0[g]) / N;
  arr("kb_per_conn", d, "%.2f");
  printf("}\n");
  return answered == N ? 0 : 3;
}

int main(int c, char **v) {
  if (c < 2) {
    fprintf(stderr, "load serve|stream|rr|crr|conns ...\n");
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  ep = epoll_create1(EPOLL_CLOEXEC);
  const char *m = v[1];
  shift(&c, &v);
  int o, lo = 7000, hi = 7000;
  const char *ip = "127.0.0.1";
  while ((o = getopt(c, v, "a:p:n:s:t:w:d:r:P:g")) > 0)
    switch (o) {
    case 'a':
      ip = optarg;
      break;
    case 'p':
      lo = hi = atoi(optarg);
      if (strchr(optarg, '-'))
        hi = atoi(strchr(optarg, '-') + 1);
      break;
    case 'n':
      N = atoi(optarg);
      break;
    case 's':
      size = atoi(optarg);
      break;
    case 't':
      secs_ms = atof(optarg) * 1000;
      break;
    case 'w':
      warm_ms = atof(optarg) * 1000;
      break;
    case 'd':
      dir = optarg[0];
      break;
    case 'r':
      rate = atof(optarg);
      break;
    case 'g':
      graceful = 1;
      break;
    case 'P':
      for (char *p = strtok(optarg, ","); p && ng < MAXG; p = strtok(0, ","))
        gp[ng++] = atoi(p);
      break;
    default:
      return 1;
    }
  if (!strcmp(m, "serve"))
    server(lo, hi);
  dst.sin_family = AF_INET;
  dst.sin_port = htons(lo);
  if (inet_pton(AF_INET, ip, &dst.sin_addr) != 1)
    die("address");
  if (size < 1 || size > BUF - 1 || N < 1)
    die("arguments");
  memset(buf, 'p', BUF);
  H = calloc(60 << SUB, 4);
  C = calloc(N, sizeof *C);
  groups();
  if (!strcmp(m, "stream"))
    return do_stream();
  if (!strcmp(m, "rr"))
    return do_rr();
  if (!strcmp(m, "crr"))
    return do_crr();
  if (!strcmp(m, "conns"))
    return do_conns();
  fprintf(stderr, "unknown mode\n");
  return 1;
}
