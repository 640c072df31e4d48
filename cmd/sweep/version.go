package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"invar/internal/plural"
	"invar/internal/version"
)

func newVersion(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, build and the engines that work here",
		Example: `  sweep version
  sweep version | head -1
  sweep version | grep native`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var b strings.Builder
			fmt.Fprintf(&b, "sweep %s\n", version.String())
			fmt.Fprintf(&b, "go         %s %s/%s, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, plural.Of(runtime.NumCPU(), "processor"))
			var build []string
			for _, s := range [][2]string{{"vcs.revision", "commit "}, {"vcs.time", "of "}, {"-tags", "tags "}, {"CGO_ENABLED", "cgo "}, {"GOAMD64", "GOAMD64 "}} {
				if v := buildSetting(s[0]); v != "" {
					build = append(build, s[1]+v)
				}
			}
			if buildSetting("vcs.modified") == "true" {
				build = append(build, "with changes")
			}
			if len(build) > 0 {
				fmt.Fprintf(&b, "build      %s\n", strings.Join(build, ", "))
			}
			if v := version.Module("gorgonia.org/gorgonia"); v != "" {
				fmt.Fprintf(&b, "gorgonia   %s\n", v)
			}
			b.WriteString("engines\n")
			for _, e := range engines() {
				state := "works"
				if e.gpu {
					_, e.why = openGPU(allGPUs, func(string) {})
				}
				if e.why != nil {
					state = "not here: " + plain(e.why)
				}
				fmt.Fprintf(&b, "  %-9s %s. %s\n", e.name, e.doc, upperFirst(state))
			}
			_, err := io.WriteString(stdout, b.String())
			return err
		},
	}
}

// buildSetting is what the Go tool noted in the binary, "" if nothing.
func buildSetting(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}
