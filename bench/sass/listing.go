package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// instruction is one line of nvdisasm's listing.
type instruction struct {
	guard    string // the predicate that it runs under, with its @; empty for none
	op       string // with its modifiers: MUFU.RCP64H
	operands string
}

// block is a run of instructions with one way in.
type block struct {
	instrs []instruction
	next   []int // blocks that may follow
}

// count is what a way through the code executes, a thread.
type count struct {
	total  int // instructions
	double int // of these, arithmetic on float64
	seeds  int // of these, approximations that a division or a root begins with
}

func (c count) plus(d count) count {
	return count{c.total + d.total, c.double + d.double, c.seeds + d.seeds}
}

func (c count) times(n int) count { return count{n * c.total, n * c.double, n * c.seeds} }

// better reports whether c is the way to count rather than d: the one with more divisions and roots, so that none of a
// typical sample's is skipped, then the shorter, so that code for rare arguments is.
func (c count) better(d count) bool {
	if c.seeds != d.seeds {
		return c.seeds > d.seeds
	}
	return c.total < d.total
}

var (
	line   = regexp.MustCompile(`^\s*/\*[0-9a-f]+\*/\s+(@\S+\s+)?([A-Z][A-Z0-9_.]*)\s*(.*?)\s*;`)
	label  = regexp.MustCompile(`^(\.L_x_\d+):`)
	target = regexp.MustCompile("`\\((\\.L_x_\\d+)\\)")
	double = regexp.MustCompile(`^(D(ADD|MUL|FMA|SETP|MNMX)\b|(F2F|F2I|I2F|FRND)\.(\w+\.)*F64)`)
	seed   = regexp.MustCompile(`^MUFU\.(RCP|RSQ)64H`)
	// What a sample does when it ends, and calls, which lead to code for rare arguments.
	rare = regexp.MustCompile(`^(STG|ST|ATOM|ATOMG|RED|REDG|CALL)\b`)
)

func (i instruction) count() count {
	c := count{total: 1}
	if seed.MatchString(i.op) {
		c.double, c.seeds = 1, 1
	} else if double.MatchString(i.op) {
		c.double = 1
	}
	return c
}

// kind is the operation without its modifiers.
func (i instruction) kind() string {
	k, _, _ := strings.Cut(i.op, ".")
	return k
}

// parse reads the blocks of the entry out of nvdisasm's listing; the first is where it begins.
func parse(listing, entry string) ([]block, error) {
	_, text, ok := strings.Cut(listing, "\n.text."+entry+":\n")
	if !ok {
		return nil, fmt.Errorf("no code of %s in the listing", entry)
	}
	var blocks []block
	var barrier []string // of each block that ends in BSYNC
	at := map[string]int{}
	falls := true // into the next block
	begin := func() {
		if n := len(blocks); n > 0 && len(blocks[n-1].instrs) == 0 {
			return
		}
		if n := len(blocks); n > 0 && falls {
			blocks[n-1].next = append(blocks[n-1].next, n)
		}
		blocks, barrier = append(blocks, block{}), append(barrier, "")
		falls = true
	}
	begin()
	type jump struct {
		from int
		to   string
	}
	var jumps []jump
	joins := map[string][]string{} // labels at which the threads of a barrier go on
lines:
	for _, l := range strings.Split(text, "\n") {
		switch m := line.FindStringSubmatch(l); {
		case m != nil:
			in := instruction{strings.TrimSpace(m[1]), m[2], m[3]}
			last := len(blocks) - 1
			blocks[last].instrs = append(blocks[last].instrs, in)
			to := target.FindStringSubmatch(in.operands)
			always := in.guard == "" || in.guard == "@PT"
			switch in.kind() {
			case "BSSY":
				b, _, _ := strings.Cut(in.operands, ",")
				joins[b] = append(joins[b], to[1])
			case "BSYNC":
				if !always {
					return nil, fmt.Errorf("a conditional %s", in.op)
				}
				barrier[last] = in.operands
				begin()
			case "BRA", "CALL": // a call of a label of the same function is a jump
				if to == nil && in.kind() == "CALL" {
					break
				}
				if to == nil {
					return nil, fmt.Errorf("a branch without a label: %s", l)
				}
				jumps = append(jumps, jump{last, to[1]})
				// With an operand before the label the branch is conditional.
				falls = !always || !strings.HasPrefix(in.operands, "`")
				begin()
			case "EXIT", "RET":
				falls = !always
				begin()
			case "BRX", "JMP", "JMX", "KILL":
				return nil, fmt.Errorf("%s is not understood", in.op)
			}
		case label.MatchString(l):
			begin()
			at[label.FindStringSubmatch(l)[1]] = len(blocks) - 1
		case strings.HasSuffix(l, ":") || strings.HasPrefix(strings.TrimSpace(l), ".section"):
			break lines // the next function
		}
	}
	for _, j := range jumps {
		to, ok := at[j.to]
		if !ok {
			return nil, fmt.Errorf("a branch to %s, which is not there", j.to)
		}
		blocks[j.from].next = append(blocks[j.from].next, to)
	}
	// BSYNC goes on where its BSSY says, nearly always the next instruction.
	for i, b := range barrier {
		if b == "" {
			continue
		}
		var to []int
		for _, j := range joins[b] {
			if k, ok := at[j]; ok && !slices.Contains(to, k) {
				to = append(to, k)
			}
		}
		switch {
		case slices.Contains(to, i+1):
		case len(to) == 1:
			blocks[i].next = to
		default:
			return nil, fmt.Errorf("BSYNC %s may go on at %d places", b, len(to))
		}
	}
	return blocks, nil
}

// loop is a natural loop: all blocks that lead back to its head without leaving through it.
type loop struct {
	head int
	body map[int]bool
}

// loops finds the loops, those with the same head as one.
func loops(blocks []block) []*loop {
	n := len(blocks)
	before := make([][]int, n)
	for i, b := range blocks {
		for _, j := range b.next {
			before[j] = append(before[j], i)
		}
	}
	// dominated[i][j]: every way to i leads through j.
	dominated := make([][]bool, n)
	for i := range dominated {
		dominated[i] = make([]bool, n)
		for j := range dominated[i] {
			dominated[i][j] = i > 0 || j == 0
		}
	}
	for changed := true; changed; {
		changed = false
		for i := 1; i < n; i++ {
			for j := range n {
				all := len(before[i]) > 0
				for _, p := range before[i] {
					all = all && dominated[p][j]
				}
				if d := all || j == i; d != dominated[i][j] {
					dominated[i][j], changed = d, true
				}
			}
		}
	}
	byHead := map[int]*loop{}
	var all []*loop
	for i, b := range blocks {
		for _, head := range b.next {
			if !dominated[i][head] {
				continue
			}
			l := byHead[head]
			if l == nil {
				l = &loop{head, map[int]bool{head: true}}
				byHead[head] = l
				all = append(all, l)
			}
			todo := []int{i}
			for len(todo) > 0 {
				k := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				if !l.body[k] {
					l.body[k] = true
					todo = append(todo, before[k]...)
				}
			}
		}
	}
	return all
}

// iteration counts what a thread executes in one iteration of a sample that goes on: the largest loop, once around,
// by a way that stores no result, takes no sample and calls nothing. A loop within it is executed trips times; 0 says
// that there is none.
func iteration(blocks []block, trips int) (count, error) {
	all := loops(blocks)
	if len(all) == 0 {
		return count{}, fmt.Errorf("no loop")
	}
	outer := slices.MaxFunc(all, func(a, b *loop) int { return len(a.body) - len(b.body) })
	w := walker{blocks: blocks, loops: all, trips: trips}
	c, ok := w.around(outer)
	switch {
	case w.err != nil:
		return count{}, w.err
	case !ok:
		return count{}, fmt.Errorf("no way around the loop that stores and calls nothing")
	}
	return c, nil
}

type walker struct {
	blocks []block
	loops  []*loop
	trips  int
	err    error
}

// around is the best way from the loop's head back to it.
func (w *walker) around(l *loop) (best count, ok bool) {
	type way struct {
		count
		ok bool
	}
	known := map[int]way{}
	open := map[int]bool{}
	var from func(i int) way
	// step is the best of the ways on from one of the blocks in body, to blocks outside of it.
	step := func(body map[int]bool, self count) way {
		var b way
		for i := range body {
			for _, j := range w.blocks[i].next {
				var on way
				switch {
				case j == l.head:
					on.ok = true
				case body[j] || !l.body[j]:
					continue
				default:
					on = from(j)
				}
				if on.ok && (!b.ok || on.better(b.count)) {
					b = on
				}
			}
		}
		b.count = b.plus(self)
		return b
	}
	from = func(i int) way {
		if r, ok := known[i]; ok {
			return r
		}
		if open[i] {
			w.err = fmt.Errorf("a loop with two entries")
			return way{}
		}
		open[i] = true
		var r way
		if inner := w.inner(i, l); inner != nil {
			if c, ok := w.around(inner); ok {
				if w.trips == 0 {
					w.err = fmt.Errorf("a loop where none is expected")
				}
				r = step(inner.body, c.times(w.trips))
			}
		} else if c, ok := w.block(i); ok {
			r = step(map[int]bool{i: true}, c)
		}
		open[i] = false
		known[i] = r
		return r
	}
	r := from(l.head)
	return r.count, r.ok
}

// inner is the largest loop with head i inside of l.
func (w *walker) inner(i int, l *loop) *loop {
	for _, m := range w.loops {
		if m.head == i && m != l {
			return m
		}
	}
	return nil
}

// block counts a block; ok is false for one that a sample that goes on does not come to.
func (w *walker) block(i int) (c count, ok bool) {
	for _, in := range w.blocks[i].instrs {
		if rare.MatchString(in.op) && !target.MatchString(in.operands) {
			return count{}, false
		}
		c = c.plus(in.count())
	}
	return c, true
}
