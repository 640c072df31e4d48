package amd64

import (
	"maps"
	"slices"
)

// Operations and conditions of scalar instructions.
var (
	ALUs  = slices.Sorted(maps.Keys(aluNames))
	Conds = slices.Sorted(maps.Keys(condNames))
)
