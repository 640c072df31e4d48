package main

import (
	"io"

	"github.com/spf13/cobra"

	"invar/results"
)

func newMerge(stdout, stderr io.Writer) *cobra.Command {
	var o output
	c := config{engine: "auto", device: "cpu"}
	cmd := &cobra.Command{
		Use:   "merge DIR... --out NEW",
		Short: "Join the shards of a sweep into one result folder",
		Long: `Join the shards of a sweep, the folders of sweep --shard i/k, into one result folder. It holds the same
bytes as that of the undivided sweep. All shards must be there, complete, and of one sweep.`,
		Example: `  sweep --alpha 0.01:100 --shard 1/2 --out part1
  sweep --alpha 0.01:100 --shard 2/2 --out part2
  sweep merge part1 part2 --out whole`,
		RunE: func(cmd *cobra.Command, dirs []string) error {
			print, err := formatter(c.format)
			if err != nil {
				return usage(err)
			}
			switch {
			case len(dirs) == 0:
				return usagef("no folders to merge; see %s --help", cmd.CommandPath())
			case o.out == "":
				return usagef("--out is needed: the folder for the joined results")
			case c.threads < 0:
				return usagef("--threads %d: 0 or more are allowed", c.threads)
			}
			run, err := results.Merge(dirs, o.out, o.force)
			if err != nil {
				return usage(err)
			}
			sw := run.Sweep()
			sw.Threads = c.threads
			if sw.Split {
				c.engine = "gorgonia"
			}
			if err := c.setEngine(cmd, sw); err != nil {
				return run.Drop(err)
			}
			return o.do(cmd, &c, sw, run, print, stdout, stderr)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.out, "out", "", "write the joined results to a new folder `DIR`")
	f.BoolVar(&o.force, "force", false, "replace the results that are in the folder")
	f.IntVar(&c.threads, "threads", 0, "threads; 0 is one a processor")
	f.StringVar(&c.format, "format", "table", "output: table, csv, json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress and no notes")
	cmd.SetFlagErrorFunc(flagError)
	return cmd
}
