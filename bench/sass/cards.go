package main

// card is a GPU as its maker describes it.
type card struct {
	name, arch string
	cores      int     // multiprocessors
	clock      float64 // boost, GHz
	source     string
}

// cards are examples of each architecture.
var cards = []card{
	{"A100 SXM", "sm_80", 108, 1.410, "NVIDIA A100 Tensor Core GPU Architecture, 2020"},
	{"L4", "sm_89", 58, 2.040, "NVIDIA L4: 7,424 cores of 128 a multiprocessor, boost 2040 MHz"},
	{"L40S", "sm_89", 142, 2.520, "NVIDIA L40S: 18,176 cores, boost 2520 MHz"},
	{"GeForce RTX 4090", "sm_89", 128, 2.520, "NVIDIA Ada GPU Architecture, 2022: 16,384 cores, boost 2520 MHz"},
	{"H100 PCIe", "sm_90", 114, 1.755, "NVIDIA H100 Tensor Core GPU Architecture, 2022"},
	{"H100 SXM", "sm_90", 132, 1.980, "NVIDIA H100 Tensor Core GPU Architecture, 2022"},
	{"B200", "sm_100", 148, 1.980, "hmc-tech.com, not NVIDIA: 18,944 cores, boost 1980 MHz"},
	{"GeForce RTX 5090", "sm_120", 170, 2.407, "NVIDIA RTX Blackwell GPU Architecture, 2025: 21,760 cores, boost 2407 MHz"},
}

// Per clock and multiprocessor: instructions issued, one by each of four schedulers for a warp's 32 threads, and
// float64 results.
//
// Source: CUDA C++ Programming Guide, "Arithmetic Instructions", table of throughput of native arithmetic instructions.
const issued = 4 * 32

var doubles = map[string]int{"sm_80": 32, "sm_89": 2, "sm_90": 64, "sm_100": 64, "sm_120": 2}

// limit is how many samples of so many steps a card could finish in a second if it did nothing but issue their
// instructions, or nothing but their arithmetic; arithmetic reports whether that is the lower of the two.
func (c *card) limit(k count, steps int) (samples float64, arithmetic bool) {
	issue, double := float64(k.total)/issued, float64(k.double)/float64(doubles[c.arch])
	return float64(c.cores) * c.clock * 1e9 / (float64(steps) * max(issue, double)), double > issue
}
