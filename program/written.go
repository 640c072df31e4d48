package program

import "math/bits"

// written is where a Builder finds the operations that it has written: a hash table of positions, with linear probing.
// The instructions themselves are the keys. An entry may be out of date: its value has left
// the scope, or was taken back, and another instruction may stand in its place.
type written struct {
	at   []int32 // 1 + a position, 0: free; the length is a power of two
	used int     // entries that are not free, at most half
}

// clear makes t empty, with room for n operations.
func (t *written) clear(n int) {
	size := 1 << bits.Len(uint(max(2*n, 16)-1))
	if cap(t.at) < size {
		t.at = make([]int32, size)
	}
	t.at, t.used = t.at[:size], 0
	clear(t.at)
}

// hash mixes what tells operations apart.
func (in *Instr) hash() uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	mix := func(h uint64, v Value) uint64 { return (h^h>>32)*odd + uint64(uint32(v)) }
	h := mix(mix(mix(in.Imm^uint64(in.Op)<<8^uint64(in.Type), in.A), in.B), in.C)
	return (h ^ h>>32) * odd
}

// equals: both compute the same from the same.
func (in *Instr) equals(x *Instr) bool {
	return in.Op == x.Op && in.Type == x.Type && in.A == x.A && in.B == x.B && in.C == x.C && in.Imm == x.Imm
}

// find is the value in scope that equals in, NoValue if there is none; then the next one is to
// be remembered at the returned entry.
func (b *Builder) find(in *Instr) (v Value, entry int) {
	t := b.known.at
	for i := int(in.hash() >> (65 - bits.Len(uint(len(t))))); ; i = (i + 1) & (len(t) - 1) {
		v := Value(t[i] - 1)
		switch {
		case v < 0:
			return NoValue, i
		case int(v) >= len(b.f.Instrs) || !b.f.Instrs[v].equals(in):
		case b.inScope(v):
			return v, i
		default: // never to come back into scope: its place can be taken
			return NoValue, i
		}
	}
}

// remember notes v at the entry that find has returned for it.
func (b *Builder) remember(v Value, entry int) {
	t := &b.known
	if t.at[entry] == 0 {
		t.used++
	}
	t.at[entry] = int32(v) + 1
	if 2*t.used <= len(t.at) {
		return
	}
	old := t.at
	t.at = nil
	t.clear(len(old))
	for _, e := range old {
		v := Value(e - 1)
		if v < 0 || int(v) >= len(b.f.Instrs) || !b.inScope(v) {
			continue
		}
		if _, i := b.find(&b.f.Instrs[v]); t.at[i] == 0 {
			t.at[i] = e
			t.used++
		}
	}
}
