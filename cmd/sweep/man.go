package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"invar/internal/version"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the man pages, one a command, into a folder",
		Long: `Write the man pages into the folder DIR, which is made if need be: sweep.1 and one
for each command, such as sweep-trace.1. Pages of these names are replaced.`,
		Example: `  sweep man man1
  sweep man ./pages && ls ./pages
  sweep man share/man/man1`,
		Args: oneArg("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return usagef("%s: %v; a folder that can be written to is needed", args[0], short1(err))
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "SWEEP", Section: "1", Source: "sweep " + version.String(), Manual: "User Commands", Date: built()}, args[0])
		},
	}
}

// built is when the source was committed, if the Go tool noted it, so that pages of one version
// are the same whenever they are written; else nil, which stands for now.
func built() *time.Time {
	if t, err := time.Parse(time.RFC3339, buildSetting("vcs.time")); err == nil {
		return &t
	}
	return nil
}
