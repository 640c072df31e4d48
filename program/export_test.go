package program

// The passes of Simplify, for tests.
var (
	FactorOut  = factorOut
	GroupFixed = groupFixed
)
