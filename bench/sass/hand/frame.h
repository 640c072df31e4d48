/* What the programs share: the loop around a step, for a GPU, or with one thread for this processor, where
   the results can be compared with Invar's.

   The work is that of Invar's kernels: threads take samples from a counter, keep their state in registers for all
   iterations, write nine results for each when it ends and take the next; a launch has a budget of steps, at whose end
   what is not finished is saved. The columns have n numbers each. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define DEVICE __device__ __forceinline__
#define RARE __device__ __noinline__
#define ENTRY extern "C" __global__ void __launch_bounds__(128)
#define fma_ __fma_rn
DEVICE int64_t bits(double x) { return __double_as_longlong(x); }
DEVICE double number(int64_t i) { return __longlong_as_double(i); }
DEVICE int low(double x) { return __double2loint(x); }
DEVICE int high(double x) { return __double2hiint(x); }
DEVICE double join(int high, int low) { return __hiloint2double(high, low); }
DEVICE uint32_t thread() { return blockIdx.x * blockDim.x + threadIdx.x; }
DEVICE uint32_t threads() { return gridDim.x * blockDim.x; }
DEVICE uint64_t increment(uint64_t *p) { return atomicAdd((unsigned long long *)p, 1ull); }
#else
#define DEVICE inline
#define RARE inline
#define ENTRY void
#define fma_ fma
DEVICE int64_t bits(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
DEVICE double number(int64_t i) { double x; memcpy(&x, &i, 8); return x; }
DEVICE int low(double x) { return (int)bits(x); }
DEVICE int high(double x) { return (int)(bits(x) >> 32); }
DEVICE double join(int high, int low) { return number((int64_t)high << 32 | (uint32_t)low); }
DEVICE uint32_t thread() { return 0; }
DEVICE uint32_t threads() { return 1; }
DEVICE uint64_t increment(uint64_t *p) { return (*p)++; }
#endif

enum { CONVERGED = 1, TOO_SMALL, LIMIT, DIVERGED, SINGULAR, SEARCH_FAILED };
enum { ITERATIONS = 100 };
#define TOLERANCE 1e-12 /* on the square of the distance to the minimum */

DEVICE bool finite_(double x) { return fabs(x) < INFINITY; }

/* A sample that ends: where its results go. */
struct row {
  double *at;
  uint64_t n;
  DEVICE void put(double x) { *at = x; at += n; }
};

/* The nine results, in Invar's order; d2 is the square of the distance to the minimum. */
DEVICE void results(row r, double x0, double x1, double loss, double g0, double g1, double d2, int iterations, int evaluations, int fallbacks, int status) {
  r.put(x0), r.put(x1), r.put(loss), r.put(sqrt(fma_(g0, g0, g1 * g1))), r.put(sqrt(d2));
  r.put(iterations), r.put(evaluations), r.put(fallbacks), r.put(status);
}

/* Makes s the next sample's state; false if there is none. */
template <class S> DEVICE bool take(S &s, uint64_t &sample, const double *in, uint64_t n, uint64_t *control) {
  sample = increment(control);
  if (sample >= n) return false;
  const double *at = in + sample;
  s.start(at[0], at[n], at[2 * n]);
  return true;
}

/* S is a sample's state, of 8-byte words so that it can be saved; its step makes the next state and returns true, or writes
   the results and returns false. */
template <class S> DEVICE void run(const double *in, double *out, uint64_t n, uint64_t *control, uint64_t *saved, uint64_t budget) {
  enum { WORDS = sizeof(S) / 8 };
  S s;
  uint64_t *place = saved + thread(), sample = *place;
  const uint64_t step = threads();
  if (sample) {
    sample--;
    uint64_t words[WORDS];
    for (int i = 0; i < WORDS; i++) words[i] = place[(i + 1) * step];
    memcpy(&s, words, sizeof s);
  } else if (!take(s, sample, in, n, control)) {
    return;
  }
  int left = budget < 0x7fffffff ? (int)budget : 0x7fffffff;
  do {
    S next;
    row r = {out + sample, n};
    if (s.step(next, r))
      s = next;
    else if (!take(s, sample, in, n, control)) {
      *place = 0;
      return;
    }
  } while (--left > 0);
  *place = sample + 1;
  uint64_t words[WORDS];
  memcpy(words, &s, sizeof s);
  for (int i = 0; i < WORDS; i++) place[(i + 1) * step] = words[i];
  increment(control + 1);
}

#ifdef __CUDACC__
#define PROGRAM(S) ENTRY invar(const double *in, double *out, uint64_t n, uint64_t *control, uint64_t *saved, uint64_t budget) { run<S>(in, out, n, control, saved, budget); }
#else
/* Reads n and the columns of inputs, writes those of results. The launches are short, so that saving is tried too. */
#include <stdio.h>
#include <stdlib.h>
#include <vector>
#define PROGRAM(S)                                                                                        \
  int main() {                                                                                            \
    uint64_t n;                                                                                           \
    if (fread(&n, 8, 1, stdin) != 1) return 1;                                                            \
    std::vector<double> in(3 * n), out(9 * n);                                                            \
    if (fread(in.data(), 8, 3 * n, stdin) != 3 * n) return 1;                                             \
    uint64_t control[2] = {0, 0}, saved[1 + sizeof(S) / 8] = {0};                                        \
    do {                                                                                                  \
      control[1] = 0;                                                                                     \
      run<S>(in.data(), out.data(), n, control, saved, 7);                                                \
    } while (control[0] < n || control[1] > 0);                                                           \
    return fwrite(out.data(), 8, 9 * n, stdout) != 9 * n;                                                 \
  }
#endif
