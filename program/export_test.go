package program

// FactorOut is for tests.
var FactorOut = factorOut
