package main

import (
	"fmt"
	"slices"
)

// target is a promise: against a peer, either a time of at most so many times the peer's, or the peer's time at
// least so many times ours.
type target struct {
	peer    string
	items   []string
	most    float64 // ours / peer's; 0 if the other
	least   float64 // peer's / ours
	against string
	info    bool // reported, but not promised
}

var targets = []target{
	{peer: "climit", items: fixedItems, most: 1.3, against: "the limit, C by hand"},
	{peer: "jax", items: fixedItems, least: 15, against: "JAX jit+vmap"},
	{peer: "jax-scalars", items: fixedItems, least: 15, against: "JAX jit+vmap written with scalars", info: true},
	{peer: "optimistix", items: []string{"lm", "bfgs"}, least: 300, against: "optimistix"},
	{peer: "gorgonia", items: append([]string{"lm", "bfgs"}, fixedItems...), least: 100, against: "Gorgonia's tape machine"},
	{peer: "gonum", items: []string{"gd", "newton", "bfgs"}, least: 100, against: "gonum/optimize"},
	{peer: "scipy", items: []string{"lm", "bfgs"}, least: 1000, against: "SciPy in a loop"},
}

// verdict is a target applied to a measurement.
type verdict struct {
	target
	item    string
	threads int
	value   float64
	limit   float64 // the same for C by hand in place of us; 0: not measured
	met     bool
}

// bound is what the measured value is compared with.
func (v verdict) bound() float64 { return max(v.most, v.least) }

func (v verdict) want() string {
	if v.most > 0 {
		return fmt.Sprintf("at most %g x its time", v.most)
	}
	return fmt.Sprintf("at least %g x faster", v.least)
}

// verdicts judges an item's contest.
func verdicts(o *outcome) []verdict {
	var all []verdict
	for _, t := range targets {
		if !slices.Contains(t.items, o.item.name) {
			continue
		}
		for _, e := range o.entries {
			us := o.find(engineUnderTest, e.threads)
			if e.peer != t.peer || e.failed != nil || us == nil {
				continue
			}
			v := verdict{target: t, item: o.item.name, threads: e.threads}
			if t.most > 0 {
				v.value = ratio(us, e)
				v.met = v.value <= t.most
			} else {
				v.value = ratio(e, us)
				v.met = v.value >= t.least
				if hand := o.find("climit", e.threads); hand != nil {
					v.limit = ratio(e, hand)
				}
			}
			all = append(all, v)
		}
	}
	return all
}
