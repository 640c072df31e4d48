package program

import (
	"context"
	"fmt"
)

// Slot is one piece of a sample's state, kept from one step to the next.
type Slot struct {
	Name  string
	Type  Type
	Fixed bool // written by Setup only: parameters and what was hoisted
}

// Program is one optimisation run of one sample: Setup makes the state from the
// sample's inputs, Step is applied until the Status slot is not zero.
type Program struct {
	Name  string
	In    []string // names of the inputs of Setup, all F64: parameters, then the start
	Slots []Slot
	Setup *Func // inputs -> one output a slot
	Step  *Func // one input a slot -> one output for each slot that is not Fixed, in order

	Status    int   // I64 slot: 0 while running, else why it stopped
	Iteration int   // I64 slot: index of the iterate that the state holds, -1 before the first
	Results   []int // slots that a Batch reports, F64, F32 or I64
	Rare      []int // I64 slots that count what seldom happens, which engines may treat apart

	// The parts of Step kept apart, for an engine that evaluates the problem in
	// its own way: Update takes the first len(Update.In)-len(Quantities) slots and then the Quantities (F64) of
	// the problem at the point in the Trial slots for the parameters in the Param
	// slots; its outputs are those of Step. Nil unless it was asked for.
	Update       *Func
	Quantities   []string
	Trial, Param []int
}

// Engine compiles programs.
type Engine interface {
	Name() string
	// Compile prepares p to be run. The Executable is safe for concurrent use.
	Compile(p *Program) (Executable, error)
}

// Executable runs one program over batches of samples.
type Executable interface {
	// Run runs all samples of b to their ends. It may be called by several
	// goroutines at once, each with a batch of its own. When ctx ends first, Run returns its error;
	// samples that are not finished then have status 0.
	Run(ctx context.Context, b *Batch) error
}

// Batch is a number of samples of one program, column by column.
type Batch struct {
	N     int
	In    [][]float64 // [input][sample]
	Out   [][]float64 // [k][sample]: slot Results[k]; an F32 and an I64 as the number that it is
	Trace *Trace      // nil: none wanted
}

// Trace records some slots each time that a sample's Iteration slot changes.
type Trace struct {
	Slots []int       // F64, F32 or I64 slots
	Rows  int         // rows kept a sample: iterations 0..Rows-1
	Len   []int       // [sample] 1 + the last row written; an engine starts it at 0
	Data  [][]float64 // [sample][row*len(Slots)+k]
}

// NewBatch makes a batch of n samples with all its columns.
func (p *Program) NewBatch(n int) *Batch {
	return &Batch{N: n, In: columns(len(p.In), n), Out: columns(len(p.Results), n)}
}

// CheckBatch reports what is wrong with a batch of p: columns that are missing or
// too short, or a trace that does not fit. Engines call it before they run one.
func (p *Program) CheckBatch(b *Batch) error {
	columns := func(what string, c [][]float64, n int) error {
		if len(c) != n {
			return fmt.Errorf("program: %s: a batch with %d %s columns, want %d", p.Name, len(c), what, n)
		}
		for i := range c {
			if len(c[i]) < b.N {
				return fmt.Errorf("program: %s: %s column %d has %d samples, want %d", p.Name, what, i, len(c[i]), b.N)
			}
		}
		return nil
	}
	if b.N < 0 {
		return fmt.Errorf("program: %s: a batch of %d samples, want 0 or more", p.Name, b.N)
	}
	if err := columns("input", b.In, len(p.In)); err != nil {
		return err
	}
	if err := columns("output", b.Out, len(p.Results)); err != nil {
		return err
	}
	t := b.Trace
	if t == nil {
		return nil
	}
	for _, s := range t.Slots {
		if s < 0 || s >= len(p.Slots) || p.Slots[s].Type == Bool {
			return fmt.Errorf("program: %s: a trace of slot %d, want a slot of a number below %d", p.Name, s, len(p.Slots))
		}
	}
	if len(t.Len) < b.N || len(t.Data) < b.N || t.Rows < 0 {
		return fmt.Errorf("program: %s: a trace of %d samples and %d rows, want %d samples and 0 rows or more", p.Name, min(len(t.Len), len(t.Data)), t.Rows, b.N)
	}
	for i := range b.N {
		if len(t.Data[i]) < t.Rows*len(t.Slots) {
			return fmt.Errorf("program: %s: a trace of %d numbers for sample %d, want %d rows of %d", p.Name, len(t.Data[i]), i, t.Rows, len(t.Slots))
		}
	}
	return nil
}

// Has reports whether a value anywhere in p is of type t: what an engine asks that does not know a
// type.
func (p *Program) Has(t Type) bool {
	return p.Setup.Has(t) || p.Step.Has(t) || p.Update != nil && p.Update.Has(t)
}

// Number is a value of slot s as a Batch reports it.
func (p *Program) Number(s int, bits uint64) float64 {
	if t := p.Slots[s].Type; t.IsFloat() {
		return t.Float(bits)
	}
	return float64(int64(bits))
}

// NewTrace makes room for rows rows of the given slots for n samples.
func NewTrace(n, rows int, slots []int) *Trace {
	return &Trace{Slots: slots, Rows: rows, Len: make([]int, n), Data: columns(n, rows*len(slots))}
}

func columns(k, n int) [][]float64 {
	all := make([]float64, k*n)
	c := make([][]float64, k)
	for i := range c {
		c[i] = all[i*n : (i+1)*n : (i+1)*n]
	}
	return c
}

// Slot returns the index of the slot with the given name, -1 if there is none.
func (p *Program) Slot(name string) int {
	for i, s := range p.Slots {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// Simplify rewrites the products of Step: factors of two move out of the way, factors that stay the same are multiplied
// with each other first. It changes roundings, and so belongs before Optimize, where it is decided what a program computes.
func (p *Program) Simplify() {
	f := factorOut(p.Step)
	p.Step = groupFixed(f, p.fixed)
	f.recycle()
}

// fixed reports whether an input of Step is a Fixed slot.
func (p *Program) fixed(input int) bool { return input < len(p.Slots) && p.Slots[input].Fixed }

// Optimize optimises both functions, fuses multiply-adds and moves what depends on Fixed slots alone from Step to Setup.
// Update, where there is one, is optimised likewise but hoists nothing.
func (p *Program) Optimize() {
	step := carryOver(rewrite(recycled(), p.Step, p.Step.Out, true, nil, nil))
	if hoisted := hoistable(step, p.fixed); len(hoisted) > 0 {
		p.hoist(step, hoisted)
		step.recycle()
	} else {
		p.Step, p.Setup = step, Optimize(p.Setup, false)
	}
	if p.Update != nil {
		p.Update = Optimize(p.Update, true)
	}
}

// hoist makes p.Step of step, whose values in hoisted p.Setup computes as new slots.
func (p *Program) hoist(step *Func, hoisted []Value) {
	names := make([]string, len(hoisted))
	for i, v := range hoisted {
		names[i] = fmt.Sprintf("const%d", i)
		p.Slots = append(p.Slots, Slot{Name: names[i], Type: step.Instrs[v].Type, Fixed: true})
	}
	b := newBuilder(p.Setup.Name, len(p.Setup.Instrs))
	state := b.Inline(p.Setup, b.inputsOf(p.Setup)...)
	once := *step
	once.Out = hoisted
	c := copier{b: b, f: &once, live: liveness(&once, &b.mem)}
	setup := b.finish(recycled(), append(state, c.run(state)...))
	p.Setup = Optimize(setup, false)
	p.Step = rewrite(new(Func), step, step.Out, false, hoisted, names)
	setup.recycle()
}
