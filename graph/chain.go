package graph

// The chain rule for z = f(v), v = (s, x), where s is itself a function of x. It is written once for
// three kinds of numbers: values of a Builder, columns of a tape, and the mere knowledge of which
// derivatives are zero.

// algebra is what the chain rule needs of its numbers.
type algebra[T any] interface {
	zero() T
	isZero(T) bool
	mul(a, b T) T // of numbers that are not zero
	add(a, b T) T // likewise
}

// sensitivity holds derivatives by the n inputs x, one row a quantity: first[r][i], and
// second[r][tri(i, j)] for j <= i. Rows of second are nil where no second derivatives are wanted.
type sensitivity[T any] struct{ first, second [][]T }

// evaluation holds the outputs of a system with their derivatives by its variables, laid out as those
// of [system]; nil rows and zeros where those have them.
type evaluation[T any] struct {
	out    []T
	d1, d2 [][]T
}

// tri is the place of entry (i, j), j <= i, of a symmetric matrix stored by rows.
func tri(i, j int) int { return i*(i+1)/2 + j }

// times is a*b, zeros considered.
func times[T any](al algebra[T], a, b T) T {
	if al.isZero(a) || al.isZero(b) {
		return al.zero()
	}
	return al.mul(a, b)
}

// plus is a+b, zeros considered.
func plus[T any](al algebra[T], a, b T) T {
	if al.isZero(a) {
		return b
	}
	if al.isZero(b) {
		return a
	}
	return al.add(a, b)
}

// chain returns dz/dx and d2z/dx2 of one quantity z from its derivatives by the k+n variables (s, x),
// d1[u] and d2[tri(u, v)], and those of s by x. The latter may be nil if second derivatives are not
// wanted; so is then the second result.
func chain[T any](al algebra[T], d1, d2 []T, s sensitivity[T], n int) (first, second []T) {
	k := len(s.first)
	first = make([]T, n)
	for i := range first {
		first[i] = al.zero()
		for u := range k {
			first[i] = plus(al, first[i], times(al, d1[u], s.first[u][i]))
		}
		first[i] = plus(al, first[i], d1[k+i])
	}
	if d2 == nil {
		return first, nil
	}
	at := func(u, v int) T {
		if v > u {
			u, v = v, u
		}
		return d2[tri(u, v)]
	}
	// w[u][i] = sum over v of d2[u][v] dv/dx_i
	w := make([][]T, k+n)
	for u := range w {
		w[u] = make([]T, n)
		for i := range w[u] {
			w[u][i] = al.zero()
			for v := range k {
				w[u][i] = plus(al, w[u][i], times(al, at(u, v), s.first[v][i]))
			}
			w[u][i] = plus(al, w[u][i], at(u, k+i))
		}
	}
	second = make([]T, tri(n, 0))
	for i := range n {
		for j := range i + 1 {
			z := al.zero()
			for u := range k {
				z = plus(al, z, times(al, s.first[u][i], w[u][j]))
			}
			z = plus(al, z, w[k+i][j])
			for u := range k {
				z = plus(al, z, times(al, d1[u], s.second[u][tri(i, j)]))
			}
			second[tri(i, j)] = z
		}
	}
	return first, second
}

// chainAll is chain for each quantity.
func chainAll[T any](al algebra[T], d1, d2 [][]T, s sensitivity[T], n int) sensitivity[T] {
	r := sensitivity[T]{make([][]T, len(d1)), make([][]T, len(d1))}
	for q := range d1 {
		r.first[q], r.second[q] = chain(al, d1[q], d2[q], s, n)
	}
	return r
}

// assemble lists the wanted quantities in the order of [Want.Names]: at is the evaluation of y and, last,
// L by the final state and x, ofY that of L by y, s the sensitivity of the final state.
func assemble[T any](al algebra[T], want Want, n, m int, at, ofY evaluation[T], s sensitivity[T]) []T {
	var flat []T
	if want&Y != 0 {
		flat = append(flat, at.out[:m]...)
	}
	if want&Loss != 0 {
		flat = append(flat, at.out[m])
	}
	if want&(Grad|Hess) != 0 {
		first, second := chain(al, at.d1[m], at.d2[m], s, n)
		if want&Grad != 0 {
			flat = append(flat, first...)
		}
		flat = append(flat, second...) // none unless Hess is wanted
	}
	if want&Jac != 0 {
		for r := range m {
			row, _ := chain(al, at.d1[r], nil, s, n)
			flat = append(flat, row...)
		}
	}
	if want&GradY != 0 {
		flat = append(flat, ofY.d1[0]...)
	}
	if want&HessY != 0 {
		flat = append(flat, ofY.d2[0]...)
	}
	return flat
}

// pattern is the algebra of "may differ from zero".
type pattern struct{}

func (pattern) zero() bool         { return false }
func (pattern) isZero(a bool) bool { return !a }
func (pattern) mul(a, b bool) bool { return true }
func (pattern) add(a, b bool) bool { return true }

// grow returns which sensitivities of the state may differ from zero at any step: start at the first,
// d1 and d2 those of one step by (s, x).
func grow(start sensitivity[bool], d1, d2 [][]bool, n int) sensitivity[bool] {
	for {
		next := chainAll(pattern{}, d1, d2, start, n)
		changed := false
		join := func(a, b [][]bool) {
			for r := range a {
				for c := range a[r] {
					if b[r][c] && !a[r][c] {
						a[r][c], changed = true, true
					}
				}
			}
		}
		join(start.first, next.first)
		join(start.second, next.second)
		if !changed {
			return start
		}
	}
}
