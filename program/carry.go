package program

// A loop often computes the same thing twice: at the end of a trip from the values that it hands on, and at the beginning of the
// next one from the values that it has been given. The force of a leapfrog step is an example. What the trip before has
// computed is handed on as well instead, and computed in front of the loop for the first trip. Compilers
// call this predictive commoning.

const (
	// To hand a value on costs about two operations a trip: it takes a register, or is stored and loaded.
	carryCost = 2
	// A loop of fewer trips does not gain enough to have its first trip's part written a second time.
	carryTrips = 4
	// Of the guards of one condition so many are looked at for each that may be one of them.
	guardTries = 16
)

// carryOver is f with what the trips of its loops have in common with those before them carried. The outputs keep their
// bits. F may be recycled.
func carryOver(f *Func) *Func {
	if len(f.Loops) == 0 {
		return f
	}
	mem := newWorkspace()
	defer mem.release()
	n := len(f.Instrs)
	c := carrier{
		f: f, flow: newFlow(f, mem), next: mem.values.Make(n), over: map[int][]Value{},
		live: mem.marks.Make(n), read: mem.marks.Make(n), part: mem.values.Make(n), gain: mem.places.Make(n),
	}
	for i := range n {
		c.next[i], c.live[i], c.part[i] = NoValue, true, Value(i)
	}
	trips := f.Trips()
	for at := range f.Instrs {
		if end := c.flow.end[at]; f.Instrs[at].Op == OpLoop && trips[at] >= carryTrips*trips[end] {
			c.loop(at, int(end))
		}
	}
	if len(c.over) == 0 {
		return f
	}
	b := newBuilder(f.Name, n)
	w := copier{b: b, f: f, live: c.live, over: c.over, next: c.next}
	g := b.finish(recycled(), w.run(b.inputsOf(f)))
	f.recycle()
	defer g.recycle()
	return prune(g, g.Out) // a carried value that only such operations have read
}

// carrier finds what trips of loops have in common. Of a loop it looks at the operations and guards that stand in no other block.
type carrier struct {
	f    *Func
	flow *flow
	next []Value         // of each operation: the one that gives now what this one will give in the next trip, NoValue: none is known
	over map[int][]Value // the values to carry, of each loop by its position
	live []bool          // of each instruction: trips still make it

	at     int             // the loop at hand
	known  map[Instr]Value // its operations
	guards map[Value][]int // its guards, by their conditions

	read []bool  // of each operation whose next one is known: others need it
	part []Value // what it is connected with: another one before it, or itself, which stands for all
	gain []int32 // of each of these: operations saved less the cost of the values carried
}

// key is what tells an operation with these operands from others.
func key(in *Instr, x, y, z Value) Instr {
	if commutes(in.Op) && x > y {
		x, y = y, x
	}
	return Instr{Op: in.Op, Type: in.Type, Imm: in.Imm, A: x, B: y, C: z}
}

// after is what v will be in the next trip, NoValue if that is not known.
func (c *carrier) after(v Value) Value {
	if int(v) < c.at { // from outside of the loop
		return v
	}
	return c.next[v]
}

// common reports whether i is in the loop, in no other block, and the next one is known.
func (c *carrier) common(i Value) bool {
	return int(i) > c.at && int(c.flow.block[i]) == c.at && c.next[i] != NoValue && c.f.Instrs[i].Op != OpPhi
}

// each calls do for what stands in the loop at hand and in no other block.
func (c *carrier) each(do func(i Value, in *Instr)) {
	for i := c.at + 1; i < int(c.flow.end[c.at]); i++ {
		in := &c.f.Instrs[i]
		do(Value(i), in)
		if in.Op == OpLoop || in.Op == OpGuard {
			i = int(c.flow.end[i])
		}
	}
}

// loop finds out what the loop at position at is to carry.
func (c *carrier) loop(at, end int) {
	c.at, c.known, c.guards = at, map[Instr]Value{}, map[Value][]int{}
	c.each(func(i Value, in *Instr) {
		switch {
		case in.Op == OpGuard:
			c.guards[in.A] = append(c.guards[in.A], int(i))
		case in.Op.Pure():
			c.known[key(in, in.A, in.B, in.C)] = i
		}
	})
	c.each(func(i Value, in *Instr) {
		switch {
		case in.Op == OpPhi:
			c.next[i] = in.B
		case in.Op == OpGuard:
			later := c.guards[c.after(in.A)]
			for _, g := range later[:min(guardTries, len(later))] {
				if c.sameGuard(int(i), g) {
					break
				}
			}
		case in.Op.Pure():
			if v, ok := c.known[key(in, c.after(in.A), c.after(in.B), c.after(in.C))]; ok {
				c.next[i] = v
			}
		}
	})
	c.connect()
	for i := at + 1; i < end; i++ { // what other operations read
		in := &c.f.Instrs[i]
		if c.common(Value(i)) {
			if in.Op == OpGuard {
				i = int(c.flow.end[i])
			}
			continue
		}
		for k := range in.Op.NumArgs() {
			if v := in.Arg(k); c.common(v) && !c.read[v] {
				c.read[v] = true
				c.gain[c.root(v)] -= carryCost
			}
		}
	}
	var over []Value
	c.each(func(i Value, in *Instr) {
		if !c.common(i) || c.gain[c.root(i)] <= 0 {
			return
		}
		c.live[i] = false
		if c.read[i] {
			over = append(over, i)
		}
	})
	for k := 0; k < len(over); k++ { // what is found in a trip may have been carried into it
		if v := c.next[over[k]]; !c.live[v] && !c.read[v] {
			c.read[v] = true
			over = append(over, v)
		}
	}
	if len(over) > 0 {
		c.over[at] = over
	}
}

// sameGuard reports whether the guard at position i will, in the next trip, be what the one at position later is now, and then
// notes so of it and its merges. Only blocks of pure operations are the same.
func (c *carrier) sameGuard(i, later int) bool {
	end, code := int(c.flow.end[i]), c.f.Instrs
	by := later - i
	for k := i + 1; k < end; k++ {
		x, y := &code[k], &code[k+by]
		if !x.Op.Pure() || key(x, c.after(x.A), c.after(x.B), c.after(x.C)) != key(y, y.A, y.B, y.C) {
			return false
		}
		c.next[k] = Value(k + by)
	}
	m := end + 1
	for ; code[m].Op == OpMerge; m++ {
		x, y := &code[m], &code[m+by]
		if y.Op != OpMerge || c.after(x.B) != y.B || c.after(x.C) != y.C {
			return false
		}
	}
	c.next[i] = Value(later)
	for m--; m > end; m-- {
		c.next[m] = Value(m + by)
	}
	return true
}

// connect joins the common operations that are made of each other, to be carried or not together, and counts them.
func (c *carrier) connect() {
	join := func(i, v Value) {
		x, y := c.root(i), c.root(v)
		c.part[max(x, y)] = min(x, y)
	}
	args := func(i Value, in *Instr) {
		for k := range in.Op.NumArgs() {
			if v := in.Arg(k); c.common(v) {
				join(i, v)
			}
		}
	}
	c.each(func(i Value, in *Instr) {
		if !c.common(i) {
			return
		}
		args(i, in)
		if in.Op != OpGuard {
			return
		}
		k := i + 1
		for ; k < Value(c.flow.end[i]); k++ {
			args(i, &c.f.Instrs[k])
		}
		for k++; c.f.Instrs[k].Op == OpMerge; k++ {
			join(i, k)
		}
	})
	c.each(func(i Value, in *Instr) {
		if c.common(i) && in.Op != OpMerge { // nothing is left of a merge where its guard is skipped
			c.gain[c.root(i)]++
		}
	})
}

// root stands for all that i is connected with.
func (c *carrier) root(i Value) Value {
	for c.part[i] != i {
		c.part[i] = c.part[c.part[i]]
		i = c.part[i]
	}
	return i
}
