package batch

import "invar/sampling"

// Sampled are starts drawn in a box.
type Sampled struct {
	Sampler sampling.Sampler
	N       int
	Box     [][2]float64 // [coordinate] lower and upper end
}

// Len is the number of starts.
func (s *Sampled) Len() int { return s.N }

// Fill implements Starts.
func (s *Sampled) Fill(first int, out [][]float64) error {
	return s.Sampler.Fill(first, len(out[0]), s.Box, out)
}
