package main

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"invar/internal/nearest"
	"invar/internal/version"
)

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	cobra.EnableCommandSorting = false // they come in the order of use
	var c config
	var o output
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Optimise an inverse problem from thousands of starts over a grid of parameters",
		Long: `Optimise an inverse problem from thousands of starts, over a grid of parameters, with
several methods, and print how each of them fares. A built-in problem or a file of
one's own (sweep init NAME) says what y = P(x) and the loss are.`,
		Example: `  sweep --alpha 0.01:100
  sweep -p rosenbrock --alpha 1,10,100 -m gd:lr=0.001 -m newton,bfgs,lm
  sweep --alpha 0.1:10 --start 3,3 --method newton:lr=0.5 --out results`,
		Version:       version.String(),
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, &c, stdout, stderr)
		},
	}
	c.flags(cmd.Flags(), 1000, 100)
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&c.format, "format", "table", "output: "+strings.Join(tableFormats, ", "))
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "print the grid, counts, memory and work at most; run nothing")
	cmd.AddCommand(newTrace(stdout), newMerge(stdout, stderr), newPlot(stdout),
		newInit(stderr), newCheck(stdout, stderr), newShow(stdout), newProblems(stdout), newMethods(stdout),
		newSelftest(stdout, stderr), newVersion(stdout), newCompletion(stdout), newMan())
	finishTree(cmd)
	return cmd
}

// flagError names the flag that was probably meant, and says what a flag takes in the
// words of its users.
func flagError(cmd *cobra.Command, err error) error {
	help := "; see " + cmd.CommandPath() + " --help"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return usagef("unknown flag -%s%s", name, help)
		}
		return usagef("unknown flag --%s%s%s", name, nearest.Hint(name, flagNames(cmd)), help)
	}
	var missing *pflag.ValueRequiredError
	if errors.As(err, &missing) {
		value, _ := pflag.UnquoteUsage(missing.GetFlag())
		return usagef("--%s: a value (%s) is missing%s", missing.GetFlag().Name, value, help)
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		wanted := map[string]string{"int": "a whole number", "uint64": "a whole number, 0 or more", "float64": "a number",
			"bool": "true or false", "duration": "a time such as 90s, 10m or 8h"}[f.Value.Type()]
		if wanted == "" {
			wanted = "another value"
		}
		return usagef("--%s %s: %s is allowed%s", f.Name, invalid.GetValue(), wanted, help)
	}
	return usagef("%s%s", err, help)
}

// noArgs refuses positional arguments, and names the command that was probably meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, s := range cmd.Commands() {
		if s.IsAvailableCommand() {
			names = append(names, s.Name())
		}
	}
	if len(names) > 0 {
		return usagef("unknown command %q%s; see %s --help", args[0], nearest.Hint(args[0], names), cmd.CommandPath())
	}
	return usagef("%s takes no argument, and %q is one; see %s --help", cmd.Name(), args[0], cmd.CommandPath())
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
