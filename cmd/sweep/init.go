package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"invar/problem"
)

// template is the problem file that sweep init writes; NAME stands for its name.
//
//go:embed template.toml
var template string

func newInit(stderr io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "init NAME",
		Short: "Write NAME.toml, a commented problem file to start from",
		Long: `Write NAME.toml, a problem file with comments that runs as it stands. NAME may have a
folder in front. A file that is there already is left alone.`,
		Example: `  sweep init spring
  sweep init lens && sweep check lens.toml
  sweep init rod && sweep --problem rod.toml --alpha 0.1:10 --starts 100`,
		Args: oneArg("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := strings.TrimSuffix(args[0], ".toml") + ".toml"
			name := strings.TrimSuffix(filepath.Base(file), ".toml")
			text := strings.ReplaceAll(template, "NAME", name)
			if _, err := problem.Parse(file, []byte(text)); err != nil {
				return usagef("init: %q is no name for a problem: 1 to 64 letters, digits and . _ - after the first are allowed", name)
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
			if errors.Is(err, fs.ErrExist) {
				return usagef("%s is there already, and left as it is; choose another name", file)
			}
			if err != nil {
				return usagef("%s: %v; a folder that can be written to is needed", file, short1(err))
			}
			if _, err = io.WriteString(f, text); err == nil {
				err = f.Close()
			} else {
				f.Close()
			}
			if err != nil {
				os.Remove(file) // half a file helps nobody
				return err
			}
			fmt.Fprintf(stderr, "Wrote %s. Next: sweep check %s, then sweep --problem %s\n", file, file, file)
			return nil
		},
	}
}
