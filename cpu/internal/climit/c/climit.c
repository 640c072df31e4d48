// How fast can these four sweeps be on one core? The same arithmetic as the
// programs that Invar makes of them, operation for operation, written by hand with AVX-512
// intrinsics: VECS vectors of eight samples in flight, state in registers, finished
// samples replaced at once, results that only a finished sample needs computed for eight finished samples together.
//
//   climit PROBLEM N REPETITIONS INPUTS OUTPUTS
//
// INPUTS holds columns of N doubles (parameters, then the start), OUTPUTS gets
// columns x0 x1 loss grad_norm distance iteration evaluations fallbacks status. Each repetition prints its nanoseconds.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef VECS
#define VECS 4
#endif
#define LANES (8 * VECS)
#define EACH _Pragma("GCC unroll 8") for (int v = 0; v < VECS; v++)
typedef __m512d D;
typedef __m512i I;
#define SET(x) _mm512_set1_pd(x)
#define ADD _mm512_add_pd
#define SUB _mm512_sub_pd
#define MUL _mm512_mul_pd
#define DIV _mm512_div_pd
#define FMA _mm512_fmadd_pd
#define FNMA _mm512_fnmadd_pd
#define FMS _mm512_fmsub_pd
#define SQRT _mm512_sqrt_pd
#define ABS _mm512_abs_pd
#define NEG(x) _mm512_xor_pd(x, SET(-0.0))
#define BLEND _mm512_mask_blend_pd // (mask, if 0, if 1)
#define CMP _mm512_cmp_pd_mask
#define CMPM _mm512_mask_cmp_pd_mask

enum { LIMIT = 100 };
static const double DTOL2 = 1e-12; // the greatest number whose root is at most 1e-6 (checked below)

// A finished sample's state before its last step: eight at a time are completed together.
#define STATE 6 // alpha, hoisted 0, hoisted 1, x0, x1, fallbacks
typedef struct {
	double s[STATE][8];
	double it[8];
	long id[8];
	int n;
} Done;

static long N;
static double *in[8], *out[9];

static inline void allFinite(D x, D y, D z, __mmask8 *ok) {
	*ok = CMP(ABS(x), SET(INFINITY), _CMP_LT_OQ);
	*ok = CMPM(*ok, ABS(y), SET(INFINITY), _CMP_LT_OQ);
	*ok = CMPM(*ok, ABS(z), SET(INFINITY), _CMP_LT_OQ);
}

// report writes the results of n samples; gnorm2 and dist2 are squares.
static void report(Done *f, D x0, D x1, D loss, D g2, D d2, __mmask8 still, D it, D fallbacks) {
	__mmask8 ok;
	allFinite(x0, x1, loss, &ok);
	D dist = SQRT(d2);
	D st = SET(0);
	st = BLEND(still, st, SET(2));
	st = BLEND(CMP(it, SET(LIMIT), _CMP_LT_OQ), SET(3), st);
	st = BLEND(CMP(dist, SET(1e-6), _CMP_LE_OQ), st, SET(1));
	st = BLEND(ok, SET(4), st);
	D r[9] = {x0, x1, loss, SQRT(g2), dist, it, ADD(it, SET(1)), fallbacks, st};
	double b[9][8];
	for (int k = 0; k < 9; k++) _mm512_storeu_pd(b[k], r[k]);
	for (int k = 0; k < 9; k++)
		for (int i = 0; i < f->n; i++) out[k][f->id[i]] = b[k][i];
	f->n = 0;
}

#define LOAD(k) _mm512_loadu_pd(f->s[k])

static inline D expd(D x, D *tp, I *np) {
	D t = FMA(x, SET(1.4426950408889634), SET(6.755399441056767e+15));
	D n = SUB(t, SET(6.755399441056767e+15));
	D r = FMA(n, SET(-0.6931471805598903), x);
	r = FMA(n, SET(-5.497923018708371e-14), r);
	D z = MUL(r, r);
	D a = FMA(z, SET(2.511428365426081e-08), SET(2.7557228563221953e-06));
	D b = FMA(z, SET(2.762628437466983e-07), SET(2.4801504568476768e-05));
	a = FMA(z, a, SET(0.00019841269902340068));
	b = FMA(z, b, SET(0.0013888888932256705));
	a = FMA(z, a, SET(0.008333333333314912));
	b = FMA(z, b, SET(0.0416666666665741));
	a = FMA(z, a, SET(0.16666666666666685));
	b = FMA(z, b, SET(0.5000000000000006));
	D p = ADD(SET(1), FMA(z, FMA(r, a, b), r));
	*tp = p;
	*np = _mm512_castpd_si512(t);
	return MUL(p, _mm512_castsi512_pd(_mm512_slli_epi64(*np, 52)));
}

static __attribute__((noinline)) D expRare(D x, D p, I n, D e) {
	I m = _mm512_add_epi64(n, _mm512_set1_epi64(1023));
	I h = _mm512_srli_epi64(m, 1);
	D y = MUL(p, _mm512_castsi512_pd(_mm512_slli_epi64(h, 52)));
	y = MUL(y, _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_sub_epi64(m, h), 52)));
	y = BLEND(CMP(x, SET(-746), _CMP_LT_OQ), y, SET(0));
	y = BLEND(CMP(SET(710), x, _CMP_LT_OQ), y, SET(INFINITY));
	return BLEND(CMP(SET(708), ABS(x), _CMP_LT_OQ), e, y);
}

// Each problem: HOIST (per sample, once), STEP (all vectors: from x0 x1 to y0 y1, loss) and FINAL (eight finished samples).
#define COMMON                                                                                      \
	__mmask8 go[VECS];                                                                              \
	EACH d2[v] = FMA(x0[v], x0[v], MUL(x1[v], x1[v]));                                              \
	EACH it[v] = ADD(it[v], SET(1));                                                                \
	EACH go[v] = CMP(it[v], SET(LIMIT), _CMP_LT_OQ);                                                \
	EACH go[v] = CMPM(go[v], ABS(loss[v]), SET(INFINITY), _CMP_LT_OQ);                              \
	EACH go[v] = CMPM(go[v], ABS(x0[v]), SET(INFINITY), _CMP_LT_OQ);                                \
	EACH go[v] = CMPM(go[v], ABS(x1[v]), SET(INFINITY), _CMP_LT_OQ);                                \
	EACH go[v] = CMPM(go[v], d2[v], SET(DTOL2), _CMP_NLE_UQ);                                       \
	EACH go[v] &= ~CMPM(CMP(x0[v], y0[v], _CMP_EQ_OQ), x1[v], y1[v], _CMP_EQ_OQ);

#define RUN(NAME, PARAMS, HOIST, STEP, AFTER, FINAL)                                                \
	static void NAME##_final(Done *f) {                                                             \
		D al = LOAD(0), h0 = LOAD(1), h1 = LOAD(2), x0 = LOAD(3), x1 = LOAD(4), fb = LOAD(5), it = _mm512_loadu_pd(f->it); \
		(void)al; (void)h0; (void)h1;                                                               \
		D loss, g2, y0, y1;                                                                         \
		FINAL;                                                                                      \
		__mmask8 still = CMPM(CMP(x0, y0, _CMP_EQ_OQ), x1, y1, _CMP_EQ_OQ);                         \
		report(f, x0, x1, loss, g2, FMA(x0, x0, MUL(x1, x1)), still, it, fb);                       \
	}                                                                                               \
	static void NAME(void) {                                                                        \
		_Alignas(64) double s[STATE][LANES];                                                        \
		_Alignas(64) double its[LANES];                                                             \
		long id[LANES], next = 0;                                                                   \
		int live = 0;                                                                               \
		__mmask8 running[VECS];                                                                     \
		Done f = {.n = 0};                                                                          \
		for (int l = 0; l < LANES; l++) {                                                           \
			for (int k = 0; k < STATE; k++) s[k][l] = 0;                                            \
			its[l] = -1; id[l] = -1;                                                                \
			if (next < N) { HOIST(l); id[l] = next++; live++; }                                     \
		}                                                                                           \
		EACH { running[v] = 0; for (int i = 0; i < 8; i++) if (id[8 * v + i] >= 0) running[v] |= 1 << i; } \
		D al[VECS], h0[VECS], h1[VECS], x0[VECS], x1[VECS], fb[VECS], it[VECS];                     \
		D y0[VECS], y1[VECS], loss[VECS], d2[VECS];                                                 \
		(void)h0; (void)h1;                                                                         \
		EACH { al[v] = _mm512_load_pd(s[0] + 8 * v); h0[v] = _mm512_load_pd(s[1] + 8 * v); h1[v] = _mm512_load_pd(s[2] + 8 * v); } \
		EACH { x0[v] = _mm512_load_pd(s[3] + 8 * v); x1[v] = _mm512_load_pd(s[4] + 8 * v); fb[v] = _mm512_load_pd(s[5] + 8 * v); it[v] = _mm512_load_pd(its + 8 * v); } \
		while (live > 0) {                                                                          \
			STEP                                                                                    \
			COMMON                                                                                  \
			AFTER                                                                                   \
			uint64_t stop = 0;                                                                      \
			EACH stop |= (uint64_t)((__mmask8)~go[v] & running[v]) << (8 * v);                      \
			if (__builtin_expect(stop != 0, 0)) {                                                   \
				EACH if (stop >> (8 * v) & 255) {                                                   \
					_mm512_store_pd(s[0] + 8 * v, al[v]); _mm512_store_pd(s[1] + 8 * v, h0[v]); _mm512_store_pd(s[2] + 8 * v, h1[v]); \
					_mm512_store_pd(s[3] + 8 * v, x0[v]); _mm512_store_pd(s[4] + 8 * v, x1[v]); _mm512_store_pd(s[5] + 8 * v, fb[v]); \
					_mm512_store_pd(its + 8 * v, it[v]);                                            \
					double t0[8], t1[8];                                                            \
					_mm512_storeu_pd(t0, y0[v]); _mm512_storeu_pd(t1, y1[v]);                       \
					for (unsigned m = stop >> (8 * v) & 255; m; m &= m - 1) {                       \
						int i = __builtin_ctz(m), l = 8 * v + i;                                    \
						for (int k = 0; k < STATE; k++) f.s[k][f.n] = s[k][l];                      \
						f.it[f.n] = its[l]; f.id[f.n] = id[l];                                      \
						if (++f.n == 8) NAME##_final(&f);                                           \
						if (next < N) {                                                             \
							HOIST(l); s[5][l] = 0; its[l] = -1; id[l] = next++;                     \
							t0[i] = s[3][l]; t1[i] = s[4][l];                                       \
						} else { running[v] &= ~(1 << i); live--; }                                 \
					}                                                                               \
					al[v] = _mm512_load_pd(s[0] + 8 * v); h0[v] = _mm512_load_pd(s[1] + 8 * v); h1[v] = _mm512_load_pd(s[2] + 8 * v); \
					y0[v] = _mm512_loadu_pd(t0); y1[v] = _mm512_loadu_pd(t1);                       \
					fb[v] = _mm512_load_pd(s[5] + 8 * v); it[v] = _mm512_load_pd(its + 8 * v);      \
				}                                                                                   \
			}                                                                                       \
			EACH { x0[v] = y0[v]; x1[v] = y1[v]; }                                                  \
		}                                                                                           \
		if (f.n > 0) NAME##_final(&f);                                                              \
	}

#define HOIST_SQUARE(l) s[0][l] = in[0][next], s[3][l] = in[1][next], s[4][l] = in[2][next]
#define NOTHING

// square, gd: lr 0.01.
#define GD(E, A, X0, X1, Y0, Y1, LOSS, G0, G1)                                                      \
	E Y0 = MUL(A, MUL(X1, X1));                                                                     \
	E LOSS = FMA(X0, X0, MUL(Y0, Y0));                                                              \
	E G0 = MUL(X0, SET(2));                                                                         \
	E G1 = MUL(MUL(X1, SET(2)), MUL(A, MUL(Y0, SET(2))));                                           \
	E Y0 = FMA(G0, SET(-0.01), X0);                                                                 \
	E Y1 = FMA(G1, SET(-0.01), X1);
#define ONE

RUN(square_gd, 1, HOIST_SQUARE,
    D g0[VECS]; D g1[VECS]; GD(EACH, al[v], x0[v], x1[v], y0[v], y1[v], loss[v], g0[v], g1[v]), NOTHING,
    D g0; D g1; GD(ONE, al, x0, x1, y0, y1, loss, g0, g1); g2 = FMA(g0, g0, MUL(g1, g1)))

// square, newton: full step; the Hessian is diagonal.
#define NEWTON(E, A, X0, X1, Y0, Y1, LOSS, G0, G1, H, K)                                            \
	E Y0 = MUL(A, MUL(X1, X1));                                                                     \
	E LOSS = FMA(X0, X0, MUL(Y0, Y0));                                                              \
	E G0 = MUL(X0, SET(2));                                                                         \
	E H = MUL(X1, SET(2));                                                                          \
	E Y1 = MUL(A, MUL(Y0, SET(2)));                                                                 \
	E G1 = MUL(H, Y1);                                                                              \
	E H = FMA(SET(2), Y1, MUL(H, MUL(A, MUL(SET(2), MUL(A, H)))));                                  \
	E K = CMP(MUL(SET(1.7763568394002505e-15), ABS(H)), ABS(H), _CMP_LT_OQ);                        \
	E Y0 = SUB(X0, BLEND(K, G0, MUL(G0, SET(0.5))));                                                \
	E Y1 = SUB(X1, BLEND(K, G1, DIV(G1, H)));
RUN(square_newton, 1, HOIST_SQUARE,
    D g0[VECS]; D g1[VECS]; D h[VECS]; __mmask8 k[VECS];
    NEWTON(EACH, al[v], x0[v], x1[v], y0[v], y1[v], loss[v], g0[v], g1[v], h[v], k[v]),
    EACH fb[v] = _mm512_mask_add_pd(fb[v], go[v] & ~k[v], fb[v], SET(1));,
    D g0; D g1; D h; __mmask8 k; NEWTON(ONE, al, x0, x1, y0, y1, loss, g0, g1, h, k); g2 = FMA(g0, g0, MUL(g1, g1)))

// square, pg: a Newton step in y, inverted.
#define PG(E, A, X0, X1, Y0, Y1, LOSS, G0, G1, S)                                                   \
	E G1 = MUL(A, MUL(X1, X1));                                                                     \
	E LOSS = FMA(X0, X0, MUL(G1, G1));                                                              \
	E G0 = MUL(X0, SET(2));                                                                         \
	E Y0 = FMA(G0, SET(-0.5), X0);                                                                  \
	E Y1 = FMA(MUL(G1, SET(2)), SET(-0.5), G1);                                                     \
	E S = BLEND(CMP(SET(0), X1, _CMP_LT_OQ), BLEND(CMP(X1, SET(0), _CMP_LT_OQ), X1, SET(-1)), SET(1)); \
	E Y1 = MUL(S, SQRT(DIV(Y1, A)));
RUN(square_pg, 1, HOIST_SQUARE,
    D g0[VECS]; D g1[VECS]; D sg[VECS]; PG(EACH, al[v], x0[v], x1[v], y0[v], y1[v], loss[v], g0[v], g1[v], sg[v]), NOTHING,
    D g0; D g1; D sg; PG(ONE, al, x0, x1, y0, y1, loss, g0, g1, sg);
    g1 = MUL(MUL(x1, SET(2)), MUL(al, MUL(g1, SET(2)))); g2 = FMA(g0, g0, MUL(g1, g1)))

// exponential, gn: cos and sin of phi are hoisted (inputs 2 and 3 here hold them).
#define HOIST_EXP(l) s[0][l] = in[0][next], s[1][l] = in[1][next], s[2][l] = in[2][next], s[3][l] = in[3][next], s[4][l] = in[4][next]
#define GN(E, A, C, S, X0, X1, Y0, Y1, LOSS, G0, G1, V)                                             \
	D u0 V, u1 V, e0 V, e1 V, p0 V, p1 V; I n0 V, n1 V; __mmask8 r0 V, r1 V;                        \
	E u0 W = FMS(C, X0, MUL(S, X1));                                                                \
	E u1 W = MUL(A, FMA(S, X0, MUL(C, X1)));                                                        \
	E e0 W = expd(u0 W, &p0 W, &n0 W);                                                              \
	E e1 W = expd(u1 W, &p1 W, &n1 W);                                                              \
	E r0 W = CMP(SET(708), ABS(u0 W), _CMP_LT_OQ);                                                  \
	E r1 W = CMP(SET(708), ABS(u1 W), _CMP_LT_OQ);                                                  \
	E if (__builtin_expect(r0 W | r1 W, 0)) { e0 W = expRare(u0 W, p0 W, n0 W, e0 W); e1 W = expRare(u1 W, p1 W, n1 W, e1 W); } \
	D ra V, rb V, ja V, jb V, jc V, jd V, t V, w V, a V, b V, d V, l V, q V;                        \
	E ra W = SUB(e0 W, SET(1));                                                                     \
	E rb W = SUB(e1 W, SET(1));                                                                     \
	E LOSS = MUL(SET(0.5), FMA(ra W, ra W, MUL(rb W, rb W)));                                       \
	E ja W = MUL(C, e0 W);                                                                          \
	E jb W = NEG(MUL(S, e0 W));                                                                     \
	E w W = MUL(A, e1 W);                                                                           \
	E jc W = MUL(S, w W);                                                                           \
	E jd W = MUL(C, w W);                                                                           \
	E w W = MUL(A, MUL(e1 W, MUL(SET(0.5), MUL(rb W, SET(2)))));                                    \
	E t W = MUL(e0 W, MUL(SET(0.5), MUL(ra W, SET(2))));                                            \
	E G0 = FMA(S, w W, MUL(C, t W));                                                                \
	E G1 = FMS(C, w W, MUL(S, t W));                                                                \
	E a W = FMA(ja W, ja W, MUL(jc W, jc W));                                                       \
	E b W = FMA(ja W, jb W, MUL(jc W, jd W));                                                       \
	E d W = FMA(jb W, jb W, MUL(jd W, jd W));                                                       \
	__mmask8 sw V, ok V;                                                                            \
	E sw W = CMP(ABS(a W), ABS(b W), _CMP_LT_OQ);                                                   \
	E { D pa = BLEND(sw W, a W, b W), pb = BLEND(sw W, b W, d W), qa = BLEND(sw W, b W, a W), qb = BLEND(sw W, d W, b W); \
		D ga = BLEND(sw W, G0, G1), gb = BLEND(sw W, G1, G0);                                       \
		l W = DIV(qa, pa); w W = MUL(pb, l W); q W = SUB(qb, w W); t W = FNMA(l W, ga, gb);         \
		a W = pa; b W = pb; d W = ga; }                                                             \
	E ok W = CMP(MUL(ABS(a W), SET(1.7763568394002505e-15)), ABS(a W), _CMP_LT_OQ);                 \
	E ok W = CMPM(ok W, MUL(SET(1.7763568394002505e-15), ADD(ABS(q W), ABS(w W))), ABS(q W), _CMP_LT_OQ); \
	E t W = DIV(t W, q W);                                                                          \
	E d W = DIV(FNMA(t W, b W, d W), a W);                                                          \
	E Y0 = SUB(X0, BLEND(ok W, G0, d W));                                                           \
	E Y1 = SUB(X1, BLEND(ok W, G1, t W));
#define W [v]
#define GN_STEP D g0[VECS], g1[VECS]; GN(EACH, al[v], h0[v], h1[v], x0[v], x1[v], y0[v], y1[v], loss[v], g0[v], g1[v], [VECS])
#define GN_FINAL D g0, g1; { enum { v = 0 }; GN(ONE, al, h0, h1, x0, x1, y0, y1, loss, g0, g1, [1]) } g2 = FMA(g0, g0, MUL(g1, g1))
RUN(exponential_gn, 3, HOIST_EXP, GN_STEP, EACH fb[v] = _mm512_mask_add_pd(fb[v], go[v] & ~ok[v], fb[v], SET(1));, GN_FINAL)

int main(int argc, char **argv) {
	if (argc != 6) {
		fprintf(stderr, "usage: climit PROBLEM N REPETITIONS INPUTS OUTPUTS\n");
		return 2;
	}
	struct { const char *name; void (*run)(void); int inputs; } all[] = {
		{"square/gd", square_gd, 3}, {"square/newton", square_newton, 3}, {"square/pg", square_pg, 3}, {"exponential/gn", exponential_gn, 5},
	};
	if (!(sqrt(DTOL2) <= 1e-6 && sqrt(nextafter(DTOL2, 1)) > 1e-6)) {
		fprintf(stderr, "climit: the squared tolerance is wrong\n");
		return 1;
	}
	N = atol(argv[2]);
	for (unsigned p = 0; p < sizeof all / sizeof *all; p++) {
		if (strcmp(all[p].name, argv[1])) continue;
		FILE *file = fopen(argv[4], "rb");
		if (!file) { perror(argv[4]); return 1; }
		for (int k = 0; k < all[p].inputs; k++) {
			in[k] = malloc(N * sizeof(double) + 64);
			if (fread(in[k], sizeof(double), N, file) != (size_t)N) { fprintf(stderr, "climit: %s is short\n", argv[4]); return 1; }
		}
		fclose(file);
		for (int k = 0; k < 9; k++) out[k] = calloc(N + 8, sizeof(double));
		for (int r = atoi(argv[3]); r > 0; r--) {
			struct timespec a, b;
			clock_gettime(CLOCK_MONOTONIC, &a);
			all[p].run();
			clock_gettime(CLOCK_MONOTONIC, &b);
			printf("%.0f\n", (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec));
		}
		file = fopen(argv[5], "wb");
		if (!file) { perror(argv[5]); return 1; }
		for (int k = 0; k < 9; k++) fwrite(out[k], sizeof(double), N, file);
		return fclose(file) != 0;
	}
	fprintf(stderr, "climit: unknown problem %s\n", argv[1]);
	return 2;
}
