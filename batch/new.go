package batch

import (
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/sampling"
)

// usualStarts is the number of starts of a sweep from New.
const usualStarts = 1000

// New is the sweep that most uses begin with: the named methods (as ParseMethods reads them, such as
// "newton" or "pg:lr=0.3") on the engine, from 1000 uniform starts in the problem's box, with
// DefaultLimits, at the one grid point where all parameters have their defaults. Whatever should be
// otherwise is changed in the fields of the result before Run; without names, Methods must be set.
//
// Errors are formulas that are too large to differentiate, unknown methods and
// settings, and a method that cannot serve the problem.
func New(p *problem.Problem, engine program.Engine, methods ...string) (*Sweep, error) {
	if engine == nil {
		return nil, errNoEngine
	}
	m, err := graph.New(p)
	if err != nil {
		return nil, err
	}
	sw := &Sweep{Model: m, Limits: DefaultLimits(len(p.Minima) > 0), Engine: engine}
	for _, s := range methods {
		specs, err := ParseMethods(s)
		if err != nil {
			return nil, err
		}
		sw.Methods = append(sw.Methods, specs...)
	}
	if sw.Starts, err = Draw(p, "uniform", 1, usualStarts); err != nil {
		return nil, err
	}
	if len(methods) == 0 {
		return sw, nil
	}
	return sw, sw.Check()
}

// Draw draws n starts from the problem's box with a sampler of package sampling
// ("uniform", "halton", "lhs", "grid"). The same arguments give the same bits.
func Draw(p *problem.Problem, sampler string, seed uint64, n int) (*Sampled, error) {
	s, err := sampling.New(sampler, seed, n, p.N())
	if err != nil {
		return nil, err
	}
	return &Sampled{Sampler: s, N: n, Box: p.Box}, nil
}
