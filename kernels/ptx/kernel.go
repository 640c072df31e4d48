// Package ptx writes programs as PTX, the assembly language that every NVIDIA driver compiles for its GPU. It is
// plain Go: neither a GPU nor a toolkit is needed to write a kernel.
//
// A program.Program goes in, a [Kernel] comes out: text with one entry, and how much memory a launch of it
// needs. Each operation of the program is one row of the table in table.go.
//
// The kernel is persistent: a fixed number of threads runs all samples of a batch. A thread keeps its sample's
// state in registers for all iterations and takes the next sample from a counter when it is done. Which thread
// runs a sample, and when, changes nothing: no operation sees another sample.
//
// A launch has a budget of steps a thread, because what runs on a GPU cannot be interrupted (and a display's
// driver kills what runs for seconds). A thread whose budget is spent saves its sample, and the next
// launch goes on with it.
package ptx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"invar/program"
)

// Entry is the name of the kernel's entry point.
const Entry = "invar"

// Version and Target are the PTX version and the oldest GPU that kernels are written for; a driver compiles them for
// any newer one.
const (
	Version = "6.3"
	Target  = "sm_70"
)

// Block is the number of threads in a block that the kernel is compiled for.
const Block = 128

// Params names the parameters of the entry, all of them 64 bits wide, in order:
//
//	in      f64 [inputs][n]: the batch's inputs
//	out     f64 [results][n]: its results, written when a sample ends
//	n       number of samples
//	control u64 next sample that nobody has taken, u64 number of samples saved by this launch
//	saved   u64 [Kernel.Saved][threads]: samples that are not finished; word 0 is the sample + 1, 0 for none
//	budget  steps that each thread may take in this launch
//
// and of a kernel that traces also
//
//	trace   f64 [n][rows][slots]
//	lengths u64 [n]: 1 + the last row written, 0 at the start
//	rows    rows a sample
var Params = []string{"in", "out", "n", "control", "saved", "budget"}

// TraceParams follow Params where a kernel traces.
var TraceParams = []string{"trace", "lengths", "rows"}

// Kernel is a program as PTX.
type Kernel struct {
	Text    string
	Inputs  int // columns of the in parameter
	Results int // columns of the out parameter
	Saved   int // words that a thread needs to save its sample
	Traced  int // slots of a trace row, 0 for a kernel that does not trace
	Step    int // operations of one step, loops counted with their trips, at most
}

// Compile writes the kernel that runs p and, if trace is not empty, records these slots each time
// that the iteration changes. It fails if p is not valid or does not fit a GPU.
func Compile(p *program.Program, trace []int) (*Kernel, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	for _, s := range trace {
		if s < 0 || s >= len(p.Slots) || p.Slots[s].Type == program.Bool {
			return nil, fmt.Errorf("ptx: %s: a trace of slot %d, want a slot of a number below %d", p.Name, s, len(p.Slots))
		}
	}
	k := &kernel{p: p, traced: trace, params: Params}
	write := k.run
	if len(trace) > 0 {
		k.params = append(k.params[:len(k.params):len(k.params)], TraceParams...)
		write = k.trace
	}
	if err := write(); err != nil {
		return nil, err
	}
	return &Kernel{Text: k.text(), Inputs: len(p.In), Results: len(p.Results), Saved: k.saved, Traced: len(trace), Step: operations(p.Step)}, nil
}

// kernel is a kernel being written. The frame around the program's functions is
//
//	read the parameters; go on with the sample saved by the launch before, or take one and set it up
//	loop:
//	    step; where it ends: write the results, take the next and set it up
//	    go on until the budget is spent
//	save and leave
//
// Who finds no sample to take leaves. There is one loop for all that, not one within another: threads that run side by
// side meet again at every step, and one whose sample ends waits for nobody else's to get the next.
type kernel struct {
	emitter
	p      *program.Program
	traced []int
	params []string

	param  map[string]string // registers with the parameters
	sample string            // its sample
	left   string            // steps left in its budget, 32 bits
	kept   []program.Slot    // state carried from step to step
	state  []string          // registers of it
	last   string            // iteration that was traced last
	saved  int
	loop   string
}

// run writes a kernel that reports ends only: it carries what a running sample needs and computes the
// rest of the results at its end.
func (k *kernel) run() error {
	s := k.p.Stage()
	for _, i := range s.Kept {
		k.kept = append(k.kept, k.p.Slots[i])
	}
	bounds := counters(s)
	refill := func() error {
		again := k.label("take")
		if s.Ended {
			k.line("%s:", again)
		}
		in := k.take()
		out, err := k.call(s.Setup, in)
		if err != nil {
			return err
		}
		if s.Ended { // by Setup: the results are what Setup makes of all slots
			k.comment("a sample may end before its first step")
			ok, going := k.register(program.Bool), k.label("going")
			k.line("setp.eq.s64 %s, %s, 0;", ok, k.wide(out[len(out)-1]))
			k.line("@%s bra %s;", ok, going)
			whole := *k.p.Setup
			whole.Out = nil
			for _, r := range k.p.Results {
				whole.Out = append(whole.Out, k.p.Setup.Out[r])
			}
			res, err := k.call(&whole, in)
			if err != nil {
				return err
			}
			k.results(res, whole.OutTypes())
			k.line("bra %s;", again)
			k.line("%s:", going)
		}
		k.set(0, out[:len(s.Kept)])
		return nil
	}
	if err := k.begin(bounds, refill); err != nil {
		return err
	}
	k.comment("step")
	whole, err := merged(s)
	if err != nil {
		return err
	}
	w, err := k.function(whole, k.state)
	if err != nil {
		return err
	}
	steps := len(s.Step.Out)
	next := w.values(whole.Out[:steps])
	on, taken := k.label("on"), k.label("taken")
	k.line("@%s bra %s;", next[steps-1], on)
	k.comment("the sample ends with this step: its results")
	k.results(w.values(whole.Out[steps:]), s.Report)
	if err := refill(); err != nil {
		return err
	}
	k.line("bra %s;", taken)
	k.line("%s:", on)
	k.set(s.Fixed, next[:steps-1])
	k.line("%s:", taken)
	k.finish()
	return nil
}

// merged is one function with the outputs of Step and then those of Final, so that what both compute is there once.
func merged(s *program.Stages) (f *program.Func, err error) {
	defer program.Catch(&err)
	b := program.NewBuilder("step")
	var in []program.Value
	for _, t := range s.Step.In {
		in = append(in, b.Input("", t))
	}
	out := append(b.Inline(s.Step, in...), b.Inline(s.Final, in...)...)
	return b.Finish(out...), nil
}

// trace writes a kernel that carries all slots and records some of them.
func (k *kernel) trace() error {
	p := k.p
	k.kept = p.Slots
	refill := func() error {
		out, err := k.call(p.Setup, k.take())
		if err != nil {
			return err
		}
		k.set(0, out)
		k.line("mov.b64 %s, -1;", k.last)
		return nil
	}
	if err := k.begin(nil, refill); err != nil {
		return err
	}
	k.record()
	runs, going, taken := k.register(program.Bool), k.label("going"), k.label("taken")
	k.line("setp.eq.s64 %s, %s, 0;", runs, k.state[p.Status])
	k.line("@%s bra %s;", runs, going)
	var res []string
	var types []program.Type
	for _, r := range p.Results {
		res = append(res, k.state[r])
		types = append(types, p.Slots[r].Type)
	}
	k.results(res, types)
	if err := refill(); err != nil {
		return err
	}
	k.line("bra %s;", taken)
	k.line("%s:", going)
	k.comment("step")
	next, err := k.call(p.Step, k.state)
	if err != nil {
		return err
	}
	var all []assignment
	for i, s := range p.Slots {
		if !s.Fixed {
			all = append(all, assignment{s.Type, k.state[i], next[len(all)]})
		}
	}
	k.assign(all)
	k.line("%s:", taken)
	k.finish()
	return nil
}

// plain is a name as a comment may hold it: ASCII on one line.
func plain(name string) string { return strings.Trim(strconv.QuoteToASCII(name), `"`) }

func (k *kernel) comment(format string, args ...any) { k.line("// "+format, args...) }

// word64 writes the address of an element of an array of 64-bit words.
func (k *kernel) word64(array, index string) string {
	at := k.register(program.I64)
	k.line("mad.lo.s64 %s, %s, 8, %s;", at, index, array)
	return at
}

// begin writes all up to the loop; refill writes what takes a sample and sets it up, and counters bounds
// the state that counts.
func (k *kernel) begin(counters map[int]span, refill func() error) error {
	k.param = map[string]string{}
	for i, name := range k.params {
		r := k.register(program.I64)
		k.line("ld.param.u64 %s, [p%d]; // %s", r, i, name)
		k.param[name] = r
	}
	k.sample, k.left = k.register(program.I64), k.word()
	k.bounds = map[string]span{}
	for i, s := range k.kept {
		if b, ok := counters[i]; ok {
			k.state = append(k.state, k.word())
			k.bounds[k.state[i]] = b
		} else {
			k.state = append(k.state, k.register(s.Type))
		}
		k.comment("%s is %s", k.state[len(k.state)-1], plain(s.Name))
	}
	few := k.register(program.I64)
	k.line("min.u64 %s, %s, %d; // counted in 32 bits", few, k.param["budget"], math.MaxInt32)
	k.line("cvt.u32.u64 %s, %s;", k.left, few)
	k.saved = 1 + len(k.kept)
	if len(k.traced) > 0 {
		k.last = k.register(program.I64)
		k.saved++
	}
	k.loop = k.label("next")

	k.comment("go on with a saved sample, if there is one")
	at, next := k.place()
	none, first := k.register(program.Bool), k.label("first")
	k.line("ld.global.u64 %s, [%s];", k.sample, at)
	k.line("setp.eq.s64 %s, %s, 0;", none, k.sample)
	k.line("@%s bra %s;", none, first)
	k.line("sub.s64 %s, %s, 1;", k.sample, k.sample)
	for i, s := range k.kept {
		k.line("add.s64 %s, %s, %s;", at, at, next)
		k.load(s.Type, k.state[i], at)
	}
	if k.last != "" {
		k.line("add.s64 %s, %s, %s;", at, at, next)
		k.line("ld.global.u64 %s, [%s];", k.last, at)
	}
	k.line("bra %s;", k.loop)
	k.line("%s:", first)
	if err := refill(); err != nil {
		return err
	}
	k.line("%s:", k.loop)
	return nil
}

// place writes where this thread saves its sample: the address of word 0 and the bytes from one word to the next.
// It is written anew wherever it is needed: kept through the loop, it would cost registers.
func (k *kernel) place() (at, next string) {
	tid, ntid, cta, ncta := k.word(), k.word(), k.word(), k.word()
	at, next = k.register(program.I64), k.register(program.I64)
	k.line("mov.u32 %s, %%tid.x;", tid)
	k.line("mov.u32 %s, %%ntid.x;", ntid)
	k.line("mov.u32 %s, %%ctaid.x;", cta)
	k.line("mov.u32 %s, %%nctaid.x;", ncta)
	k.line("mad.lo.u32 %s, %s, %s, %s;", tid, cta, ntid, tid)
	k.line("mul.lo.u32 %s, %s, %s;", ntid, ntid, ncta)
	k.line("mad.wide.u32 %s, %s, 8, %s;", at, tid, k.param["saved"])
	k.line("mul.wide.u32 %s, %s, 8;", next, ntid)
	return at, next
}

// columns writes the address of the sample's number in the first column of an array of the batch and
// the bytes from one column to the next.
func (k *kernel) columns(array string) (at, next string) {
	next = k.register(program.I64)
	k.line("shl.b64 %s, %s, 3;", next, k.param["n"])
	return k.word64(array, k.sample), next
}

// load and store move a piece of state from and to the word that saves it; an f32 takes the first half of it.
func (k *kernel) load(t program.Type, d, at string) {
	switch t {
	case program.F64, program.F32:
		k.line("ld.global.%s %s, [%s];", byType[t].class, d, at)
	case program.I64:
		r := d
		if isNarrow(d) {
			r = k.register(t)
		}
		k.line("ld.global.u64 %s, [%s];", r, at)
		if r != d {
			k.line("cvt.u32.u64 %s, %s;", d, r)
		}
	case program.Bool:
		r := k.register(program.I64)
		k.line("ld.global.u64 %s, [%s];", r, at)
		k.line("setp.ne.s64 %s, %s, 0;", d, r)
	}
}

func (k *kernel) store(t program.Type, at, a string) {
	switch t {
	case program.F64, program.F32:
		k.line("st.global.%s [%s], %s;", byType[t].class, at, k.inRegister(t, a))
	case program.I64:
		k.line("st.global.u64 [%s], %s;", at, k.inRegister(t, k.wide(a)))
	case program.Bool:
		r := k.register(program.I64)
		k.line("selp.b64 %s, 1, 0, %s;", r, a)
		k.line("st.global.u64 [%s], %s;", at, r)
	}
}

// take writes what a thread without a sample does: it takes the next and loads the inputs, or leaves.
func (k *kernel) take() []string {
	k.comment("take the next sample")
	over := k.register(program.Bool)
	some := k.label("some")
	k.line("atom.global.add.u64 %s, [%s], 1;", k.sample, k.param["control"])
	k.line("setp.ge.u64 %s, %s, %s;", over, k.sample, k.param["n"])
	k.line("@!%s bra %s;", over, some)
	at, _ := k.place()
	none := k.register(program.I64)
	k.line("mov.b64 %s, 0;", none)
	k.line("st.global.u64 [%s], %s;", at, none)
	k.line("ret;")
	k.line("%s:", some)
	at, next := k.columns(k.param["in"])
	in := make([]string, len(k.p.In))
	for i, name := range k.p.In {
		if i > 0 {
			k.line("add.s64 %s, %s, %s;", at, at, next)
		}
		in[i] = k.register(program.F64)
		k.line("ld.global.f64 %s, [%s]; // %s", in[i], at, plain(name))
	}
	return in
}

// set gives the state from slot first on its next values.
func (k *kernel) set(first int, next []string) {
	var all []assignment
	for i, v := range next {
		all = append(all, assignment{k.kept[first+i].Type, k.state[first+i], v})
	}
	k.assign(all)
}

// number is a value as an F64.
func (k *kernel) number(t program.Type, a string) string {
	if t == program.F64 {
		return k.inRegister(t, a)
	}
	d := k.register(program.F64)
	if t == program.F32 {
		k.write(rowOf(program.OpWiden, t), d, k.inRegister(t, a))
	} else {
		k.line("cvt.rn.f64.s64 %s, %s;", d, k.inRegister(t, k.wide(a)))
	}
	return d
}

// results writes the sample's results into the batch.
func (k *kernel) results(res []string, types []program.Type) {
	at, next := k.columns(k.param["out"])
	for i, r := range res {
		if i > 0 {
			k.line("add.s64 %s, %s, %s;", at, at, next)
		}
		k.line("st.global.f64 [%s], %s; // %s", at, k.number(types[i], r), plain(k.p.Slots[k.p.Results[i]].Name))
	}
}

// record writes a row of the trace where the iteration has changed.
func (k *kernel) record() {
	k.comment("trace")
	it, lengths, rows := k.state[k.p.Iteration], k.param["lengths"], k.param["rows"]
	same, out, skip := k.register(program.Bool), k.register(program.Bool), k.label("traced")
	k.line("setp.eq.s64 %s, %s, %s;", same, it, k.last)
	k.line("mov.b64 %s, %s;", k.last, it)
	k.line("setp.ge.u64 %s, %s, %s; // or negative", out, it, rows)
	k.line("or.pred %s, %s, %s;", same, same, out)
	k.line("@%s bra %s;", same, skip)
	row, at, most := k.register(program.I64), k.register(program.I64), k.register(program.I64)
	k.line("mad.lo.s64 %s, %s, %s, %s;", row, k.sample, rows, it)
	k.line("mad.lo.s64 %s, %s, %d, %s;", at, row, 8*len(k.traced), k.param["trace"])
	for i, s := range k.traced {
		k.line("st.global.f64 [%s+%d], %s; // %s", at, 8*i, k.number(k.p.Slots[s].Type, k.state[s]), plain(k.p.Slots[s].Name))
	}
	at = k.word64(lengths, k.sample)
	k.line("ld.global.u64 %s, [%s];", most, at)
	k.line("add.s64 %s, %s, 1;", row, it)
	k.line("max.u64 %s, %s, %s;", most, most, row)
	k.line("st.global.u64 [%s], %s;", at, most)
	k.line("%s:", skip)
}

// finish writes the end of the loop, and what follows once the budget is spent.
func (k *kernel) finish() {
	more := k.register(program.Bool)
	k.line("sub.s32 %s, %s, 1;", k.left, k.left)
	k.line("setp.gt.s32 %s, %s, 0;", more, k.left)
	k.line("@%s bra %s;", more, k.loop)

	k.comment("the budget is spent: save the sample")
	at, next := k.place()
	mark := k.register(program.I64)
	k.line("add.s64 %s, %s, 1;", mark, k.sample)
	k.line("st.global.u64 [%s], %s;", at, mark)
	for i, s := range k.kept {
		k.line("add.s64 %s, %s, %s;", at, at, next)
		k.store(s.Type, at, k.state[i])
	}
	if k.last != "" {
		k.line("add.s64 %s, %s, %s;", at, at, next)
		k.store(program.I64, at, k.last)
	}
	old, one := k.register(program.I64), k.register(program.I64)
	k.line("mov.b64 %s, 1;", one)
	k.line("atom.global.add.u64 %s, [%s+8], %s;", old, k.param["control"], one)
	k.line("ret;")
}

// text joins the declarations, which are known now, with the body.
func (k *kernel) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "// %s\n.version %s\n.target %s\n.address_size 64\n\n", plain(k.p.Name), Version, Target)
	for i, t := range k.tables {
		fmt.Fprintf(&s, ".global .align %d .%s table%d[%d] = {", byType[t.typ].size, byType[t.typ].class, i, len(t.entries))
		for j, v := range t.entries {
			if j > 0 {
				s.WriteString(", ")
			}
			s.WriteString(constant(t.typ, v))
		}
		s.WriteString("};\n")
	}
	fmt.Fprintf(&s, ".visible .entry %s(\n", Entry)
	for i, name := range k.params {
		comma := ","
		if i == len(k.params)-1 {
			comma = ""
		}
		fmt.Fprintf(&s, "\t.param .u64 p%d%s // %s\n", i, comma, name)
	}
	// One block suffices: else the assembler spills a register or two to fit one block more.
	fmt.Fprintf(&s, ")\n.maxntid %d, 1, 1\n.minnctapersm 1\n{\n", Block)
	for t := program.F64; t <= program.Bool; t++ {
		if k.regs[t] > 0 {
			fmt.Fprintf(&s, "\t.reg .%s %s<%d>;\n", byType[t].class, byType[t].prefix, k.regs[t])
		}
	}
	fmt.Fprintf(&s, "\t.reg .b32 %%w<%d>;\n", k.emitter.words)
	for i, a := range k.arrays {
		fmt.Fprintf(&s, "\t.local .align 8 .b8 array%d[%d];\n", i, byType[a.Type].size*a.Len)
	}
	s.WriteString(k.body.String())
	s.WriteString("}\n")
	return s.String()
}
