/* The driver of the hand-written kernels: it speaks the line protocol of bench/compare, see peer.go there. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "climit.h"

static work w;
static const kernel *k;
static size_t n, padded;
static atomic_size_t next;

/* Chunks of 16 blocks are shared out until none is left. */
static void *worker(void *unused) {
  const size_t chunk = 16 * BLOCK;
  for (;;) {
    size_t from = atomic_fetch_add(&next, chunk);
    if (from >= padded) return unused;
    k->run(&w, from, from + chunk < padded ? from + chunk : padded);
  }
}

static void run(int threads) {
  pthread_t t[256];
  atomic_store(&next, 0);
  for (int i = 1; i < threads; i++)
    if (pthread_create(&t[i], 0, worker, 0)) exit(1);
  worker(0);
  for (int i = 1; i < threads; i++) pthread_join(t[i], 0);
}

static double *column(void) {
  double *c = aligned_alloc(4096, (padded * sizeof *c + 4095) / 4096 * 4096);
  if (!c) exit(1);
  memset(c, 0, padded * sizeof *c);
  return c;
}

static const char *load(const char *item, const char *file) {
  for (k = kernels; k->name && strcmp(k->name, item); k++)
    ;
  if (!k->name) return "no such item";
  padded = (n + BLOCK - 1) / BLOCK * BLOCK;
  FILE *f = fopen(file, "rb");
  if (!f) return "the file of starts cannot be opened";
  for (int c = 0; c < INPUTS; c++) {
    double *d = column();
    if (fread(d, sizeof *d, n, f) != n) return "the file of starts is too short";
    for (size_t i = n; i < padded; i++) d[i] = d[0];
    w.in[c] = d;
  }
  fclose(f);
  for (int c = 0; c < RESULTS; c++) w.out[c] = column();
  return 0;
}

int main(void) {
  char line[4096], item[64], file[4000];
  int threads = 1;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq")) {
    puts("error this processor has no AVX-512");
    return 0;
  }
  setvbuf(stdout, 0, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "load %63s %zu %d %lf %lf %lf %d %3999[^\n]", item, &n, &w.iterations, &w.lr, &w.minimum[0],
               &w.minimum[1], &threads, file) == 8) {
      const char *e = threads > 256 ? "more than 256 threads" : load(item, file);
      if (e) printf("error %s\n", e);
      else {
        run(threads);
        printf("ready gcc %s\n", __VERSION__);
      }
    } else if (sscanf(line, "write %3999[^\n]", file) == 1) {
      FILE *f = fopen(file, "wb");
      if (!f) { puts("error the file of results cannot be made"); continue; }
      for (int c = 0; c < 3; c++) fwrite(w.out[c], sizeof(double), n, f);
      puts(fclose(f) ? "error the file of results cannot be written" : "ok");
    } else if (!strcmp(line, "time\n")) {
      struct timespec a, b;
      clock_gettime(CLOCK_MONOTONIC, &a);
      run(threads);
      clock_gettime(CLOCK_MONOTONIC, &b);
      printf("seconds %.9f\n", (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec));
    } else if (!strcmp(line, "quit\n")) {
      return 0;
    } else {
      puts("error unknown command");
    }
  }
}
