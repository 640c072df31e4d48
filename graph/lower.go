package graph

import "invar/program"

// lowering writes nodes into a Builder.
type lowering struct {
	b     *program.Builder
	value map[*node]program.Value // as numbers
	truth map[*node]program.Value // as Bools
}

func newLowering(b *program.Builder) *lowering {
	return &lowering{b, map[*node]program.Value{}, map[*node]program.Value{}}
}

// bind gives inputs their values.
func (l *lowering) bind(nodes []*node, values []program.Value) {
	for i, n := range nodes {
		l.value[n] = values[i]
	}
}

// number writes n; the zero that a nil node stands for is [program.NoValue].
func (l *lowering) number(n *node) program.Value {
	if n == nil {
		return program.NoValue
	}
	if v, ok := l.value[n]; ok {
		return v
	}
	var v program.Value
	switch {
	case n.konst:
		v = l.b.F(n.value)
	case n.op.truth:
		v = l.b.Select(l.condition(n), l.b.F(1), l.b.F(0))
	default:
		v = n.op.lower(l.b, l.args(n))
	}
	l.value[n] = v
	return v
}

// condition writes a truth as a Bool. Constant truths do not get here: [dag.simplify] folds whatever
// takes one.
func (l *lowering) condition(n *node) program.Value {
	v, ok := l.truth[n]
	if !ok {
		v = n.op.lower(l.b, l.args(n))
		l.truth[n] = v
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
