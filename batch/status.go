package batch

import "fmt"

// Status says why a sample stopped.
type Status int

// The statuses. A sample that has not finished is Running.
const (
	Running Status = iota
	Converged
	StepTooSmall
	IterationLimit
	Diverged
	Singular
	LineSearchFailed
	numStatuses
)

// statusTable is the one place that describes the statuses.
var statusTable = [numStatuses]struct{ name, means, remedy string }{
	Running:          {"running", "the run was interrupted before the sample finished", "let the run finish"},
	Converged:        {"converged", "a convergence test holds at the final point", ""},
	StepTooSmall:     {"step too small", "the step no longer changes x, or is below --xtol, and no convergence test holds", "the point is stationary for this method, or lr is too small: raise lr, or look at the gradient there"},
	IterationLimit:   {"iteration limit", "the iteration limit came first", "raise --iterations, or loosen the tolerance"},
	Diverged:         {"diverged", "the loss or the point became infinite or NaN", "lower lr, or use a method that does not scale with the sensitivity"},
	Singular:         {"singular", "the linear system of the step has no solution and the method has no fallback", "a derivative may be infinite or NaN there: move the start, or use bfgs, which needs no second derivatives"},
	LineSearchFailed: {"line search failed", "no step along the search direction decreases the objective enough", "rounding may be the limit: loosen the tolerance; else check the derivatives with another engine"},
}

// Statuses lists all statuses but Running.
func Statuses() []Status {
	var s []Status
	for i := Converged; i < numStatuses; i++ {
		s = append(s, i)
	}
	return s
}

func (s Status) row() (name, means, remedy string) {
	if s < 0 || s >= numStatuses {
		return fmt.Sprintf("status %d", int(s)), "not a status", ""
	}
	r := statusTable[s]
	return r.name, r.means, r.remedy
}

// String is the status's name.
func (s Status) String() string { n, _, _ := s.row(); return n }

// Predicate says when a sample gets the status.
func (s Status) Predicate() string { _, m, _ := s.row(); return m }

// Remedy says what a user can do about it; empty for Converged.
func (s Status) Remedy() string { _, _, r := s.row(); return r }

// Early reports whether the sample stopped without reaching convergence or the
// iteration limit.
func (s Status) Early() bool { return s > IterationLimit || s == StepTooSmall }
