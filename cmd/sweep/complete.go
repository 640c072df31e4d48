package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/internal/nearest"
	"invar/problem"
	"invar/sampling"
)

// shells are those that completion is written for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletion(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script of a shell",
		Long: `Print the script that makes a shell complete commands, flags, problems, methods and
their settings. SHELL is ` + strings.Join(shells, ", ") + `.

For the running bash:
  source <(sweep completion bash)
For good: write it to a file that the shell reads, such as
  ~/.local/share/bash-completion/completions/sweep
  a file named _sweep on the $fpath of zsh
  ~/.config/fish/completions/sweep.fish`,
		Example: `  sweep completion bash > sweep.bash
  sweep completion zsh > _sweep
  sweep completion fish > sweep.fish`,
		Args:              oneArg("SHELL"),
		ValidArgsFunction: oneOf(shells...),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(stdout, true)
			case "zsh":
				return root.GenZshCompletion(stdout)
			case "fish":
				return root.GenFishCompletion(stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(stdout)
			}
			return usagef("shell %q%s: %s are allowed", args[0], nearest.Hint(args[0], shells), strings.Join(shells, ", "))
		},
	}
}

// completeFlags gives the flags of a command their values.
func completeFlags(cmd *cobra.Command) {
	files := func(ext ...string) cobra.CompletionFunc {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return ext, cobra.ShellCompDirectiveFilterFileExt
		}
	}
	for name, f := range map[string]cobra.CompletionFunc{
		"problem":     completeProblem,
		"method":      completeMethod,
		"param":       completeParam,
		"sampler":     oneOf(sampling.Names()...),
		"dtype":       oneOf(batch.DTypes...),
		"engine":      oneOf(engineNames()...),
		"device":      oneOf(devices...),
		"format":      oneOf(tableFormats...),
		"starts-file": files("csv", "npy"),
		"config":      files("toml"),
	} {
		if cmd.Flags().Lookup(name) == nil {
			continue
		}
		if _, given := cmd.GetFlagCompletionFunc(name); given {
			continue
		}
		if err := cmd.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err) // the flag is there
		}
	}
}

// completeProblem offers the built-in problems; where none fits, the shell offers files.
func completeProblem(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	var fit []string
	for _, name := range problem.Builtins() {
		if strings.HasPrefix(name, word) {
			fit = append(fit, name)
		}
	}
	if len(fit) == 0 {
		return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return fit, cobra.ShellCompDirectiveNoFileComp
}

// completeMethod offers names, and after a colon or a comma the method's settings.
func completeMethod(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	name, rest, settings := strings.Cut(word, ":")
	if !settings {
		// After a comma, names again: the shell wants the whole word.
		head := word[:strings.LastIndex(word, ",")+1]
		var names []string
		for _, m := range batch.Methods() {
			if !slices.Contains(strings.Split(head, ","), m.Name) {
				names = append(names, head+m.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	m, err := batch.Lookup(name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	head := name + ":" + rest[:strings.LastIndex(rest, ",")+1]
	var more []string
	for _, s := range m.Settings {
		if !strings.Contains(","+rest, ","+s.Name+"=") {
			more = append(more, fmt.Sprintf("%s%s=\t%s, default %v", head, s.Name, s.Doc, s.Default))
		}
	}
	return more, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeParam offers the parameters of the problem that the line names.
func completeParam(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if f := cmd.Flags().Lookup("problem"); f != nil {
		if p, err := problem.Load(f.Value.String()); err == nil {
			for _, q := range p.Params {
				names = append(names, q.Name+"=")
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeValues gives one flag its values.
func completeValues(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, oneOf(values...)); err != nil {
		panic(err) // the flag is there
	}
}
