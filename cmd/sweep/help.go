package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroups are the headings under which help shows flags. A flag that is on no
// list comes last, under "Other".
var flagGroups = []struct {
	title string
	names []string
}{
	{"Problem", []string{"problem", "alpha", "param"}},
	{"Starts", []string{"starts", "start", "starts-file", "box", "sampler", "seed"}},
	{"Methods", []string{"method", "iterations", "dtol", "gtol", "ltol", "xtol", "dtype"}},
	{"Run", []string{"engine", "device", "threads", "shard", "time-limit", "dry-run"}},
	{"Results", []string{"format", "out", "force", "resume", "config", "min-converged", "plot", "quiet"}},
}

// helpWidth is the number of columns that help fills; helpIndent is where descriptions of
// flags begin.
const (
	helpWidth  = 79
	helpIndent = 26
)

// writeHelp prints the help of a command: what it does, usage, examples,
// commands, and the flags in groups.
func writeHelp(w io.Writer, cmd *cobra.Command) error {
	var b strings.Builder
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	b.WriteString(wrap(text, "", helpWidth) + "\n\nUsage:\n")
	if cmd.Runnable() {
		b.WriteString("  " + cmd.UseLine() + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("  " + cmd.CommandPath() + " COMMAND [flags]\n")
	}
	if cmd.Example != "" {
		b.WriteString("\nExamples:\n" + cmd.Example + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		width := 0
		for _, c := range cmd.Commands() {
			width = max(width, len(c.Name()))
		}
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s  %s\n", width, c.Name(), c.Short)
			}
		}
	}
	shown := map[string]bool{"help": true, "version": true} // known to all
	known := len(shown)
	show := func(title string, flags []*pflag.Flag) {
		if len(flags) == 0 {
			return
		}
		b.WriteString("\n" + title + ":\n")
		for _, f := range flags {
			b.WriteString(flagHelp(f))
			shown[f.Name] = true
		}
	}
	for _, g := range flagGroups {
		var flags []*pflag.Flag
		for _, name := range g.names {
			if f := cmd.Flags().Lookup(name); f != nil && !f.Hidden {
				flags = append(flags, f)
			}
		}
		show(g.title, flags)
	}
	var rest []*pflag.Flag
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !shown[f.Name] && !f.Hidden {
			rest = append(rest, f)
		}
	})
	show(map[bool]string{true: "Flags", false: "Other"}[len(shown) == known], rest)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help tells more about a command.\n", cmd.CommandPath())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// flagHelp is one flag with its description beside it, or below if there is no room.
func flagHelp(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	switch value {
	case "int", "uint", "float":
		value = "N"
	case "string", "stringArray":
		value = strings.ToUpper(f.Name)
	case "duration":
		value = "TIME"
	}
	head := "      --" + f.Name
	if f.Shorthand != "" {
		head = "  -" + f.Shorthand + ", --" + f.Name
	}
	if value != "" {
		head += " " + value
	}
	switch f.DefValue {
	case "", "0", "false", "[]", "0s":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	body := wrap(usage, strings.Repeat(" ", helpIndent), helpWidth)
	if utf8.RuneCountInString(head) > helpIndent-2 {
		return head + "\n" + body + "\n"
	}
	return head + body[utf8.RuneCountInString(head):] + "\n"
}

// wrap breaks text into lines of at most width columns, each with the given
// indent. Empty lines and lines that begin with white space are kept as they are.
func wrap(text, indent string, width int) string {
	var out []string
	line := ""
	flush := func() {
		if line != "" {
			out = append(out, indent+line)
		}
		line = ""
	}
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if l == "" || l[0] == ' ' || l[0] == '\t' {
			flush()
			out = append(out, strings.TrimRight(indent+l, " "))
			continue
		}
		for _, word := range strings.Fields(l) {
			if line != "" && utf8.RuneCountInString(indent+line)+1+utf8.RuneCountInString(word) > width {
				flush()
			}
			if line != "" {
				line += " "
			}
			line += word
		}
	}
	flush()
	return strings.Join(out, "\n")
}

// execute runs the command that the arguments name. Cobra checks no arguments before help, and takes no error from it.
func execute(ctx context.Context, root *cobra.Command) error {
	var help error
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd.HasAvailableSubCommands() {
			help = noArgs(cmd, cmd.Flags().Args())
		}
		if help == nil {
			help = writeHelp(cmd.OutOrStdout(), cmd)
		}
	})
	return cmp.Or(root.ExecuteContext(ctx), help)
}

// finishTree gives every command of the tree the same errors and completion of
// its flags.
func finishTree(root *cobra.Command) {
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.CompletionOptions.DisableDefaultCmd = true
	for _, c := range root.Commands() {
		completeFlags(c)
	}
	completeFlags(root)
}

// newHelp is sweep help COMMAND, for those who try that first.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usage(err)
			}
			if len(rest) > 0 {
				return noArgs(about, rest)
			}
			return writeHelp(about.OutOrStdout(), about)
		},
	}
}

// oneArg wants one positional argument; what names it.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usagef("%s: %s is missing; see %s --help", cmd.Name(), what, cmd.CommandPath())
		case 1:
			return nil
		}
		return usagef("%s takes one %s; %q is one too many; see %s --help", cmd.Name(), what, args[1], cmd.CommandPath())
	}
}

// oneOf completes a flag or an argument with names.
func oneOf(names ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return slices.Clone(names), cobra.ShellCompDirectiveNoFileComp
	}
}
