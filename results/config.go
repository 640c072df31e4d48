package results

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"invar/batch"
	"invar/graph"
	"invar/internal/plural"
	"invar/internal/version"
	"invar/problem"
	"invar/program"
	"invar/sampling"
)

// Config is everything that decides the samples of a sweep, resolved: no default is left to be
// filled in, and the problem is its whole text. What does not change a bit of
// the results (engine, threads, machine) is not in it.
type Config struct {
	Problem Problem
	Grid    batch.Grid
	Starts  Starts
	Methods []Method
	Limits  batch.Limits
	DType   program.Type // F64 or F32
	// Engine is AnyEngine, or Gorgonia: its tape machine rounds in its own way.
	Engine  string
	Shard   Shard  // zero if the sweep is not divided
	Version string // of the sweep that wrote it: information only
}

// The values of Config.Engine.
const (
	AnyEngine = "any"
	Gorgonia  = "gorgonia"
)

// Problem is a problem file.
type Problem struct {
	Name string // for messages, and the problem's own where the text gives none
	File string // the whole text
}

// Starts says where samples start: points drawn by a sampler, or given one by one.
type Starts struct {
	Sampler string
	Seed    uint64
	Count   int
	Box     [][2]float64 // [coordinate] lower and upper end
	Points  [][]float64  // if given, the other fields are zero
}

// Method is a method's name with all its settings.
type Method struct {
	Name     string
	Settings map[string]float64
}

// Shard is one part of a divided sweep: 1 <= Index <= Count. Zero stands for the whole.
type Shard struct{ Index, Count int }

// String is index/count.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// MaxShards bounds Shard.Count.
const MaxShards = 100_000

// ParseShard reads i/k.
func ParseShard(text string) (Shard, error) {
	i, k, ok := strings.Cut(text, "/")
	index, err1 := strconv.Atoi(i)
	count, err2 := strconv.Atoi(k)
	s := Shard{index, count}
	if !ok || err1 != nil || err2 != nil || !s.valid() {
		return Shard{}, fmt.Errorf("results: shard %q; i/k is allowed, 1 <= i <= k <= %d", text, MaxShards)
	}
	return s, nil
}

func (s Shard) valid() bool { return 1 <= s.Index && s.Index <= s.Count && s.Count <= MaxShards }

// Resolve makes the Config of a sweep. The text is that of the sweep's problem; its Starts must be
// batch.Points or *batch.Sampled, drawn with the given seed.
func Resolve(sw *batch.Sweep, text string, seed uint64) (*Config, error) {
	p := sw.Model.Problem()
	c := &Config{Problem: Problem{p.Name, text}, Grid: sw.Grid, Limits: sw.Limits, DType: program.F64, Engine: AnyEngine, Version: version.String()}
	if sw.DType == program.F32 {
		c.DType = program.F32
	}
	if sw.Split {
		c.Engine = Gorgonia
	}
	switch s := sw.Starts.(type) {
	case batch.Points:
		c.Starts = Starts{Points: s}
	case *batch.Sampled:
		c.Starts = Starts{Sampler: s.Sampler.Name(), Seed: seed, Count: s.N, Box: s.Box}
	default:
		return nil, fmt.Errorf("results: starts of type %T; batch.Points and *batch.Sampled are allowed", s)
	}
	for _, m := range sw.Methods {
		r, err := m.Resolve(p)
		if err != nil {
			return nil, err
		}
		c.Methods = append(c.Methods, Method{r.Method.Name, r.Set})
	}
	return c, nil
}

// Sweep is the sweep that the Config describes, without an engine. Split is set for Gorgonia.
func (c *Config) Sweep() (*batch.Sweep, error) {
	p, err := problem.Parse(c.Problem.Name+".toml", []byte(c.Problem.File))
	if err != nil {
		return nil, err
	}
	model, err := graph.New(p)
	if err != nil {
		return nil, err
	}
	sw := &batch.Sweep{Model: model, Grid: c.Grid, Limits: c.Limits, DType: c.DType, Split: c.Engine == Gorgonia}
	if sw.Starts, err = c.Starts.batch(p); err != nil {
		return nil, err
	}
	for _, m := range c.Methods {
		found, err := batch.Lookup(m.Name)
		if err != nil {
			return nil, err
		}
		sw.Methods = append(sw.Methods, batch.Spec{Method: found, Set: maps.Clone(m.Settings)})
	}
	return sw, sw.Check()
}

func (s *Starts) batch(p *problem.Problem) (batch.Starts, error) {
	if len(s.Points) > 0 {
		for i, x := range s.Points {
			if len(x) != p.N() {
				return nil, fmt.Errorf("results: starts.points: point %d has %s; problem %s has %s", i, plural.Of(len(x), "number"), p.Name, plural.Of(p.N(), "input"))
			}
		}
		return batch.Points(s.Points), nil
	}
	if len(s.Box) != p.N() {
		return nil, fmt.Errorf("results: starts.box has %s; problem %s has %s", plural.Of(len(s.Box), "pair"), p.Name, plural.Of(p.N(), "input"))
	}
	sampler, err := sampling.New(s.Sampler, s.Seed, s.Count, p.N())
	if err != nil {
		return nil, err
	}
	return &batch.Sampled{Sampler: sampler, N: s.Count, Box: s.Box}, nil
}

const configFormat = 1

// Encode is the Config as a file that ParseConfig reads. Equal configurations have equal files.
func (c *Config) Encode() []byte {
	var b bytes.Buffer
	b.WriteString("# Everything that decides the results of this sweep. It can be repeated, bit for bit, by\n" +
		"#     sweep --config config.toml --out DIR\n")
	fmt.Fprintf(&b, "format = %d\n", configFormat)
	fmt.Fprintf(&b, "version = %s # of the sweep that wrote this file; for information\n", quoted(c.Version))
	fmt.Fprintf(&b, "engine = %s # \"any\": all engines but gorgonia give the same bits\n", quoted(c.Engine))
	fmt.Fprintf(&b, "dtype = %s # of the numbers of samples\n", quoted(batch.DTypeName(c.DType)))
	if c.Shard != (Shard{}) {
		b.WriteString("\n[shard] # this folder is one part of a divided sweep\n")
		fmt.Fprintf(&b, "index = %d\ncount = %d\n", c.Shard.Index, c.Shard.Count)
	}
	fmt.Fprintf(&b, "\n[limits] # a tolerance of 0 is not tested\niterations = %d\n", c.Limits.Iterations)
	for _, t := range tolerances(&c.Limits) {
		fmt.Fprintf(&b, "%s = %s\n", t.name, float(*t.value))
	}
	b.WriteString("\n[starts]\n")
	if len(c.Starts.Points) > 0 {
		b.WriteString("points = [\n")
		for _, x := range c.Starts.Points {
			fmt.Fprintf(&b, "  [%s],\n", floats(x))
		}
		b.WriteString("]\n")
	} else {
		seed := strconv.FormatUint(c.Starts.Seed, 10)
		if c.Starts.Seed > math.MaxInt64 {
			seed = quoted(seed) // beyond TOML's integers
		}
		fmt.Fprintf(&b, "count = %d\nsampler = %s\nseed = %s\nbox = [", c.Starts.Count, quoted(c.Starts.Sampler), seed)
		for i, r := range c.Starts.Box {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "[%s]", floats(r[:]))
		}
		b.WriteString("]\n")
	}
	for _, a := range c.Grid {
		fmt.Fprintf(&b, "\n[[grid]] # the last axis varies fastest\nparameter = %s\nvalues = [%s]\n", quoted(a.Name), floats(a.Values))
	}
	for _, m := range c.Methods {
		fmt.Fprintf(&b, "\n[[method]]\nname = %s\n", quoted(m.Name))
		if len(m.Settings) > 0 {
			b.WriteString("[method.settings]\n")
		}
		for _, k := range slices.Sorted(maps.Keys(m.Settings)) {
			fmt.Fprintf(&b, "%s = %s\n", k, float(m.Settings[k]))
		}
	}
	fmt.Fprintf(&b, "\n[problem]\nname = %s\nfile = %s\n", quoted(c.Problem.Name), text(c.Problem.File))
	return b.Bytes()
}

// quoted is a TOML basic string.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// text is a TOML string over several lines where the text allows it.
func text(s string) string {
	plain := !strings.Contains(s, "'''") && !strings.HasSuffix(s, "'")
	for _, r := range s {
		plain = plain && (r == '\n' || r == '\t' || r >= 0x20 && r != 0x7f)
	}
	if plain {
		return "'''\n" + s + "'''"
	}
	return quoted(s)
}

// float is a TOML float that reads back to the same bits.
func float(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

func floats(x []float64) string {
	s := make([]string, len(x))
	for i, v := range x {
		s[i] = float(v)
	}
	return strings.Join(s, ", ")
}

// ReadConfig reads a configuration file.
func ReadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return ParseConfig(path, data)
}

// ParseConfig reads a configuration; name is the file's, for messages. An unknown field is an error, and so is a missing
// one; that the parts fit together is checked by Sweep.
func ParseConfig(name string, data []byte) (*Config, error) {
	var f struct {
		Format  int    `toml:"format"`
		Version string `toml:"version"`
		Engine  string `toml:"engine"`
		DType   string `toml:"dtype"`
		Shard   *struct {
			Index int `toml:"index"`
			Count int `toml:"count"`
		} `toml:"shard"`
		Limits *struct {
			Iterations *int     `toml:"iterations"`
			DTol       *float64 `toml:"dtol"`
			GTol       *float64 `toml:"gtol"`
			LTol       *float64 `toml:"ltol"`
			XTol       *float64 `toml:"xtol"`
		} `toml:"limits"`
		Starts struct {
			Sampler string      `toml:"sampler"`
			Seed    any         `toml:"seed"`
			Count   int         `toml:"count"`
			Box     [][]float64 `toml:"box"`
			Points  [][]float64 `toml:"points"`
		} `toml:"starts"`
		Grid []struct {
			Parameter string    `toml:"parameter"`
			Values    []float64 `toml:"values"`
		} `toml:"grid"`
		Method []struct {
			Name     string             `toml:"name"`
			Settings map[string]float64 `toml:"settings"`
		} `toml:"method"`
		Problem struct {
			Name string `toml:"name"`
			File string `toml:"file"`
		} `toml:"problem"`
	}
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		var unknown *toml.StrictMissingError
		var bad *toml.DecodeError
		switch {
		case errors.As(err, &unknown) && len(unknown.Errors) > 0:
			line, _ := unknown.Errors[0].Position()
			return nil, fmt.Errorf("results: %s:%d: unknown field %q", name, line, strings.Join(unknown.Errors[0].Key(), "."))
		case errors.As(err, &bad):
			line, _ := bad.Position()
			return nil, fmt.Errorf("results: %s:%d: %s", name, line, strings.TrimPrefix(bad.Error(), "toml: "))
		}
		return nil, fmt.Errorf("results: %s: %w", name, err)
	}
	bad := func(format string, args ...any) (*Config, error) {
		return nil, fmt.Errorf("results: %s: "+format, append([]any{name}, args...)...)
	}
	if f.Format != configFormat {
		return bad("format = %d; this version of sweep reads format %d", f.Format, configFormat)
	}
	c := &Config{Problem: Problem{f.Problem.Name, f.Problem.File}, Engine: f.Engine, Version: f.Version}
	if f.Engine != AnyEngine && f.Engine != Gorgonia {
		return bad("engine = %q; %q and %q are allowed", f.Engine, AnyEngine, Gorgonia)
	}
	if f.DType == "" { // of a version that knew no other
		f.DType = batch.DTypeName(program.F64)
	}
	var err error
	if c.DType, err = batch.ParseDType(f.DType); err != nil {
		return bad("dtype = %q; %s are allowed", f.DType, strings.Join(batch.DTypes, " and "))
	}
	if f.Problem.Name == "" || f.Problem.File == "" {
		return bad("problem.name and problem.file are needed")
	}
	if f.Shard != nil {
		c.Shard = Shard{f.Shard.Index, f.Shard.Count}
		if !c.Shard.valid() {
			return bad("shard %v; 1 <= index <= count <= %d is allowed", c.Shard, MaxShards)
		}
	}
	if f.Limits == nil || f.Limits.Iterations == nil {
		return bad("limits.iterations is needed")
	}
	if c.Limits.Iterations = *f.Limits.Iterations; c.Limits.Iterations < 0 || c.Limits.Iterations > MaxIterations {
		return bad("limits.iterations = %d; 0 to %d are allowed", c.Limits.Iterations, MaxIterations)
	}
	for i, v := range []*float64{f.Limits.DTol, f.Limits.GTol, f.Limits.LTol, f.Limits.XTol} {
		t := tolerances(&c.Limits)[i]
		if v == nil {
			return bad("limits.%s is needed", t.name)
		}
		if *t.value = *v; !(*v >= 0) || math.IsInf(*v, 0) {
			return bad("limits.%s = %v; a finite number, 0 or more, is allowed", t.name, *v)
		}
	}
	for _, a := range f.Grid {
		if !finite(a.Values) {
			return bad("grid %s: values = %v; finite numbers are allowed", a.Parameter, a.Values)
		}
		c.Grid = append(c.Grid, batch.Axis{Name: a.Parameter, Values: a.Values})
	}
	if len(f.Method) == 0 {
		return bad("no [[method]]; at least one is needed")
	}
	for _, m := range f.Method {
		c.Methods = append(c.Methods, Method{m.Name, m.Settings})
	}
	s := f.Starts
	if len(s.Points) > 0 {
		if s.Sampler != "" || s.Seed != nil || s.Count != 0 || s.Box != nil {
			return bad("starts: points and a sampler's fields are given; one of the two is allowed")
		}
		for i, x := range s.Points {
			if !finite(x) {
				return bad("starts.points[%d] = %v; finite numbers are allowed", i, x)
			}
		}
		c.Starts.Points = s.Points
		return c, nil
	}
	c.Starts.Sampler, c.Starts.Count = s.Sampler, s.Count
	if s.Count < 1 {
		return bad("starts.count = %d; 1 or more are allowed", s.Count)
	}
	switch v := s.Seed.(type) {
	case int64:
		c.Starts.Seed = uint64(v)
		if v < 0 {
			return bad("starts.seed = %d; 0 to %d are allowed", v, uint64(math.MaxUint64))
		}
	case string:
		if c.Starts.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			return bad("starts.seed = %q; 0 to %d are allowed", v, uint64(math.MaxUint64))
		}
	default:
		return bad("starts.seed = %v; an integer is needed", v)
	}
	for i, r := range s.Box {
		if len(r) != 2 || !(r[0] <= r[1]) || !finite(r) || math.IsInf(r[1]-r[0], 0) {
			return bad("starts.box[%d] = %v; a finite pair lo <= hi, a finite distance apart, is allowed", i, r)
		}
		c.Starts.Box = append(c.Starts.Box, [2]float64(r))
	}
	return c, nil
}

// MaxIterations bounds Limits.Iterations.
const MaxIterations = 10_000_000

type tolerance struct {
	name  string
	value *float64
}

func tolerances(l *batch.Limits) []tolerance {
	return []tolerance{{"dtol", &l.DTol}, {"gtol", &l.GTol}, {"ltol", &l.LTol}, {"xtol", &l.XTol}}
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
