package batch

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"invar/graph"
	"invar/internal/nearest"
	"invar/problem"
)

// Method is an update rule. It is written once, as a Go function that puts one
// step's arithmetic onto a program; every engine runs that program. A new built-in method
// is one file with its Method value and one row in the table below; a method of
// one's own goes into a Sweep as a Spec.
type Method struct {
	Name     string
	Doc      string // one line: the update
	Source   string // paper or book
	Settings []Setting
	Want     graph.Want  // what it needs of the problem at every point, besides loss and gradient
	Inverse  bool        // it needs the problem's local inverse
	Step     func(*Step) // writes one step; a panic with a *program.Error is an error of Compile
}

// Setting is a number that a method takes.
type Setting struct {
	Name     string
	Default  float64
	Min, Max float64 // allowed range, both ends included
	Integer  bool
	Doc      string
}

// table holds all methods, in the order in which they are listed.
var table = []*Method{
	&gd, &momentum, &nesterov, &adagrad, &rmsprop, &adam,
	&newton, &newtonLS, &bfgs, &lbfgs,
	&gn, &lm, &ig, &pg, &pgNumeric, &hig,
}

// Methods lists the built-in methods.
func Methods() []*Method { return append([]*Method(nil), table...) }

// Lookup finds a built-in method by name.
func Lookup(name string) (*Method, error) {
	var names []string
	for _, m := range table {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("batch: unknown method %q%s; the methods are %s", name, nearest.Hint(name, names), strings.Join(names, ", "))
}

// Supports reports, as an error, why the method cannot serve the problem; nil if it can.
func (m *Method) Supports(p *problem.Problem) error {
	if m.Inverse && p.Inverse == nil {
		return fmt.Errorf("batch: method %s needs the local inverse of the problem, and %s has none; use pg-numeric, or add `inverse` to the problem file", m.Name, p.Name)
	}
	return nil
}

// Spec is a method with its settings.
type Spec struct {
	Method *Method
	Set    map[string]float64 // only what differs from the defaults
}

// ParseMethods reads NAME[:setting=value,...] or a comma list of bare names. Errors are
// unknown names, and values that a setting does not allow.
func ParseMethods(s string) ([]Spec, error) {
	if !strings.Contains(s, ":") {
		var specs []Spec
		for _, name := range strings.Split(s, ",") {
			m, err := Lookup(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			specs = append(specs, Spec{Method: m})
		}
		return specs, nil
	}
	name, rest, _ := strings.Cut(s, ":")
	m, err := Lookup(strings.TrimSpace(name))
	if err != nil {
		return nil, err
	}
	spec := Spec{Method: m, Set: map[string]float64{}}
	for _, part := range strings.Split(rest, ",") {
		key, val, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if !ok {
			return nil, fmt.Errorf("batch: method %s: %q is not setting=value (settings go after the colon; give each method with settings a --method of its own)", m.Name, part)
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(val), 64)
		if err != nil {
			return nil, fmt.Errorf("batch: method %s: %s=%s is not a number", m.Name, key, val)
		}
		if _, dup := spec.Set[key]; dup {
			return nil, fmt.Errorf("batch: method %s: %s is given twice", m.Name, key)
		}
		if err := m.check(key, x); err != nil {
			return nil, err
		}
		spec.Set[key] = x
	}
	return []Spec{spec}, nil
}

func (m *Method) setting(name string) *Setting {
	for i := range m.Settings {
		if m.Settings[i].Name == name {
			return &m.Settings[i]
		}
	}
	return nil
}

// Range says in words which numbers the setting may have: "a number greater than 0". The ends of
// the number line go without saying.
func (s Setting) Range() string {
	kind := "a number"
	if s.Integer {
		kind = "a whole number"
	}
	const endless = 1e300
	switch {
	case s.Min == math.SmallestNonzeroFloat64 && s.Max >= endless:
		return kind + " greater than 0"
	case s.Min == math.SmallestNonzeroFloat64:
		return fmt.Sprintf("%s greater than 0, at most %v,", kind, s.Max)
	case s.Max >= endless:
		return fmt.Sprintf("%s, %v or more,", kind, s.Min)
	}
	return fmt.Sprintf("%s from %v to %v", kind, s.Min, s.Max)
}

func (m *Method) check(name string, x float64) error {
	s := m.setting(name)
	if s == nil {
		var names []string
		for _, t := range m.Settings {
			names = append(names, t.Name)
		}
		return fmt.Errorf("batch: method %s has no setting %q%s; its settings are %s", m.Name, name, nearest.Hint(name, names), strings.Join(names, ", "))
	}
	if !(x >= s.Min && x <= s.Max) || s.Integer && x != math.Trunc(x) {
		return fmt.Errorf("batch: method %s: %s=%v; %s is allowed", m.Name, name, x, s.Range())
	}
	return nil
}

// Resolve fills in the settings for a problem: the method's defaults, then the problem
// file's [method.NAME], then the Spec's own.
func (sp Spec) Resolve(p *problem.Problem) (Spec, error) {
	set := map[string]float64{}
	for _, s := range sp.Method.Settings {
		set[s.Name] = s.Default
	}
	for _, from := range []map[string]float64{p.Methods[sp.Method.Name], sp.Set} {
		for k, v := range from {
			if err := sp.Method.check(k, v); err != nil {
				return Spec{}, err
			}
			set[k] = v
		}
	}
	return Spec{sp.Method, set}, nil
}

// CheckSettings looks at a problem file's settings of methods ([method.NAME]), which package problem cannot judge.
// Errors are names of methods that are neither built in nor among own, and settings that their method refuses.
func CheckSettings(p *problem.Problem, own ...*Method) error {
	known := map[string]*Method{}
	var names []string
	for _, m := range slices.Concat(table, own) {
		if known[m.Name] == nil {
			names = append(names, m.Name)
		}
		known[m.Name] = m
	}
	for _, name := range slices.Sorted(maps.Keys(p.Methods)) {
		m := known[name]
		if m == nil {
			return fmt.Errorf("batch: problem %s: [method.%s]: unknown method %q%s; the methods are %s", p.Name, name, name, nearest.Hint(name, names), strings.Join(names, ", "))
		}
		for _, k := range slices.Sorted(maps.Keys(p.Methods[name])) {
			if err := m.check(k, p.Methods[name][k]); err != nil {
				return fmt.Errorf("batch: problem %s: [method.%s]: %s", p.Name, name, strings.TrimPrefix(err.Error(), "batch: "))
			}
		}
	}
	return nil
}

// String is the spec as ParseMethods reads it, settings sorted.
func (sp Spec) String() string {
	var keys []string
	for k := range sp.Set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for i, k := range keys {
		keys[i] = k + "=" + strconv.FormatFloat(sp.Set[k], 'g', -1, 64)
	}
	if len(keys) == 0 {
		return sp.Method.Name
	}
	return sp.Method.Name + ":" + strings.Join(keys, ",")
}

// Labels names methods for tables and files: by their bare names, where these differ, else with
// their settings.
func Labels(specs []Spec) func(Spec) string {
	count := map[string]int{}
	for _, s := range specs {
		count[s.Method.Name]++
	}
	return func(s Spec) string {
		if count[s.Method.Name] > 1 {
			return s.String()
		}
		return s.Method.Name
	}
}

// lr is the learning rate setting that most methods share.
func lr(def float64) Setting {
	return Setting{Name: "lr", Default: def, Min: math.SmallestNonzeroFloat64, Max: math.MaxFloat64, Doc: "step size eta"}
}
