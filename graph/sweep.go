package graph

import "slices"

// sweep returns the derivatives of y by each node of wrt, nil for those that are zero whatever the
// inputs: one reverse sweep over the rules of the operations. It may be applied to its own results.
//
// Where a select lies on the way, the derivative is that of the chosen operand and of nothing else:
// an Inf or NaN in the operand that was not chosen leaves no trace, as it would if the usual masked
// adjoint met it (0*NaN). To this end each adjoint belongs to a region, the part of the input space
// where the node matters to y, and is anything outside of it; it is masked where it leaves its region.
func (d *dag) sweep(y *node, wrt []*node) []*node {
	target := map[*node]bool{}
	for _, x := range wrt {
		target[x] = true
	}
	order := d.dependents(y, target)
	s := sweeper{d: d, parts: map[*node][]part{}, regions: map[region]*region{}}
	if len(order) > 0 {
		s.parts[y] = []part{{nil, d.constant(1)}}
	}
	depends := map[*node]bool{}
	for _, n := range order {
		depends[n] = true
	}
	result := map[*node]*node{}
	for _, n := range order {
		parts := s.parts[n]
		if len(parts) == 0 {
			continue // what depends on it has a zero derivative by it
		}
		if target[n] {
			result[n] = s.sum(parts, nil)
		}
		if n.op == nil {
			continue
		}
		r := s.union(parts)
		grad := s.sum(parts, r)
		if n.op.name == "select" {
			for i := 1; i <= 2; i++ {
				if depends[n.args[i]] {
					s.give(n.args[i], s.region(r, n.args[0], i == 2), grad)
				}
			}
			continue
		}
		wanted := make([]bool, len(n.args))
		for i, a := range n.args {
			wanted[i] = depends[a]
		}
		rule, err := n.op.derivative()
		if err != nil {
			panic(failure{err})
		}
		for i, g := range rule.write(d, n, grad, wanted) {
			if g != nil {
				s.give(n.args[i], r, g)
			}
		}
	}
	out := make([]*node, len(wrt))
	for i, x := range wrt {
		if g := result[x]; g != nil && !(g.konst && g.value == 0) {
			out[i] = g
		}
	}
	return out
}

// dependents lists the nodes between y and the targets that pass derivatives on, y first and every
// node before its operands.
func (d *dag) dependents(y *node, target map[*node]bool) []*node {
	depends := map[*node]bool{}
	seen := map[*node]bool{}
	var order []*node
	var visit func(n *node) bool
	visit = func(n *node) bool {
		if seen[n] {
			return depends[n]
		}
		seen[n] = true
		dep := target[n]
		for i, a := range n.args {
			if n.op.differentiable(i) && visit(a) {
				dep = true
			}
		}
		depends[n] = dep
		if dep {
			order = append(order, n)
		}
		return dep
	}
	visit(y)
	slices.SortFunc(order, func(a, b *node) int { return b.id - a.id })
	return order
}

// differentiable reports whether the operation has a derivative by operand i that is not zero everywhere.
func (o *operation) differentiable(i int) bool {
	if o.name == "select" {
		return i > 0
	}
	return o.native != nil || o.rule != nil
}

// region is where a node matters: within parent (nil: everywhere) where cond is true, or false if
// not is set. Regions are unique, so that pointers compare them.
type region struct {
	parent *region
	cond   *node
	not    bool
}

// part is a contribution to an adjoint, valid within its region and anything outside.
type part struct {
	in    *region
	value *node
}

type sweeper struct {
	d       *dag
	parts   map[*node][]part
	regions map[region]*region
}

func (s *sweeper) give(n *node, in *region, value *node) {
	s.parts[n] = append(s.parts[n], part{in, value})
}

func (s *sweeper) region(parent *region, cond *node, not bool) *region {
	key := region{parent, cond, not}
	r := s.regions[key]
	if r == nil {
		r = &key
		s.regions[key] = r
	}
	return r
}

// within reports whether r is o or a part of it.
func (r *region) within(o *region) bool {
	for ; r != nil; r = r.parent {
		if r == o {
			return true
		}
	}
	return o == nil
}

// truth is the condition of being in r, given that one is in o (r lies within o).
func (s *sweeper) truth(r, o *region) *node {
	c := r.cond
	if r.not {
		c = s.d.do("not", c)
	}
	if r.parent == o {
		return c
	}
	return s.d.do("and", s.truth(r.parent, o), c)
}

// union is where any of the parts matters.
func (s *sweeper) union(parts []part) *region {
	rs := make([]*region, 0, len(parts))
	for _, p := range parts {
		if p.in == nil {
			return nil
		}
		rs = append(rs, p.in)
	}
	for {
		rs = outermost(rs)
		merged := false
		// Both sides of one condition make up its parent.
		in := map[*region]bool{}
		for _, r := range rs {
			in[r] = true
		}
		for i, r := range rs {
			if o := s.opposite(r); in[r] && in[o] {
				in[r], in[o] = false, false
				rs[i] = r.parent
				merged = true
			}
		}
		if !merged {
			break
		}
		if slices.Contains(rs, nil) {
			return nil
		}
	}
	if len(rs) == 1 {
		return rs[0]
	}
	c := s.truth(rs[0], nil)
	for _, r := range rs[1:] {
		c = s.d.do("or", c, s.truth(r, nil))
	}
	return s.region(nil, c, false)
}

// opposite is the region on the other side of r's last condition, nil if nothing has been there.
func (s *sweeper) opposite(r *region) *region {
	return s.regions[region{r.parent, r.cond, !r.not}]
}

// outermost drops regions that lie within others, and repetitions.
func outermost(rs []*region) []*region {
	in := map[*region]bool{}
	for _, r := range rs {
		in[r] = true
	}
	var out []*region
	done := map[*region]bool{}
	for _, r := range rs {
		inside := done[r]
		for o := r.parent; o != nil && !inside; o = o.parent {
			inside = in[o]
		}
		if !inside {
			out = append(out, r)
			done[r] = true
		}
	}
	return out
}

// sum adds up the parts for use within region in.
func (s *sweeper) sum(parts []part, in *region) *node {
	var sums []part // at most one a region; those without value are spent
	at := map[*region]int{}
	put := func(p part) {
		if i, ok := at[p.in]; ok && sums[i].value != nil {
			sums[i].value = s.d.do("add", sums[i].value, p.value)
			return
		}
		at[p.in] = len(sums)
		sums = append(sums, p)
	}
	for _, p := range parts {
		put(p)
	}
	// What holds on both sides of one condition is one select.
	for i := 0; i < len(sums); i++ {
		p := sums[i]
		if p.value == nil || p.in == nil {
			continue
		}
		o := s.opposite(p.in)
		j, ok := at[o]
		if o == nil || !ok || sums[j].value == nil {
			continue
		}
		yes, no := p.value, sums[j].value
		if p.in.not {
			yes, no = no, yes
		}
		sums[i].value, sums[j].value = nil, nil
		put(part{p.in.parent, s.d.do("select", p.in.cond, yes, no)})
	}
	var total *node
	for _, p := range sums {
		if p.value == nil {
			continue
		}
		v := p.value
		if p.in != in {
			outer := in
			if !p.in.within(in) {
				outer = nil // in is a union: its regions know nothing of it
			}
			v = s.d.do("select", s.truth(p.in, outer), v, s.d.constant(0))
		}
		if total == nil {
			total = v
		} else {
			total = s.d.do("add", total, v)
		}
	}
	return total
}
