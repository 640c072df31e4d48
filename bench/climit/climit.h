/* What the driver and the kernels share. */
#ifndef CLIMIT_H
#define CLIMIT_H
#include <stddef.h>

enum { INPUTS = 3, RESULTS = 9, BLOCK = 768 }; /* BLOCK: a multiple of 8K for every K that is used */

/* Columns alpha, x0, x1 go in; x0, x1, loss, gradient norm, distance to the minimum, iterations,
   evaluations, fallbacks, status come out. All are padded to a multiple of BLOCK. */
typedef struct {
  const double *in[INPUTS];
  double *out[RESULTS];
  int iterations;
  double lr, minimum[2];
} work;

typedef struct {
  const char *name;
  void (*run)(const work *, size_t from, size_t to); /* samples; multiples of BLOCK */
} kernel;

extern const kernel kernels[]; /* ends with a null name */
#endif
