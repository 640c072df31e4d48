package graph

import "invar/program"

// lowering writes nodes of a dag into a Builder.
type lowering struct {
	b     *program.Builder
	value []program.Value // of each node as a number; NoValue: not written yet
	truth []program.Value // as a Bool
}

func newLowering(b *program.Builder, d *dag) *lowering {
	n := len(d.nodes)
	v := make([]program.Value, 2*n)
	for i := range v {
		v[i] = program.NoValue
	}
	return &lowering{b, v[:n], v[n:]}
}

// bind gives inputs their values.
func (l *lowering) bind(nodes []*node, values []program.Value) {
	for i, n := range nodes {
		l.value[n.id] = values[i]
	}
}

// number writes n; the zero that a nil node stands for is [program.NoValue].
func (l *lowering) number(n *node) program.Value {
	if n == nil {
		return program.NoValue
	}
	v := l.value[n.id]
	switch {
	case v != program.NoValue:
		return v
	case n.konst:
		v = l.b.F(n.value)
	case n.op.truth:
		v = l.b.Select(l.condition(n), l.b.F(1), l.b.F(0))
	default:
		v = n.op.lower(l.b, l.args(n))
	}
	l.value[n.id] = v
	return v
}

// condition writes a truth as a Bool. Constant truths do not get here: [dag.simplify] folds whatever
// takes one.
func (l *lowering) condition(n *node) program.Value {
	v := l.truth[n.id]
	if v == program.NoValue {
		v = n.op.lower(l.b, l.args(n))
		l.truth[n.id] = v
	}
	return v
}

func (l *lowering) args(n *node) []program.Value {
	v := make([]program.Value, len(n.args))
	for i, a := range n.args {
		if n.op.takesTruth(i) {
			v[i] = l.condition(a)
		} else {
			v[i] = l.number(a)
		}
	}
	return v
}

func (l *lowering) numbers(n []*node) []program.Value {
	v := make([]program.Value, len(n))
	for i := range n {
		v[i] = l.number(n[i])
	}
	return v
}
