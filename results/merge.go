package results

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"invar/batch"
)

// Merge joins the shards of a sweep, in any order, into a new folder like that of
// the undivided sweep. Nothing is written unless the folders are all shards of
// one sweep, complete, each there once. The Run's Do writes the files; interrupted, it leaves nothing.
func Merge(dirs []string, out string, force bool) (_ *Run, err error) {
	if len(dirs) == 0 {
		return nil, errors.New("results: no folders to merge; the folders of all shards are needed")
	}
	var sources []*journal
	defer func() {
		if err != nil {
			for _, s := range sources {
				if s != nil {
					s.close()
				}
			}
		}
	}()
	target, _ := os.Stat(out)
	var whole *Config
	var first string
	from := map[int]string{}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && target != nil && os.SameFile(info, target) {
			return nil, fmt.Errorf("results: %s is to be merged and to be written; give --out another folder", dir)
		}
		f, err := Open(dir)
		if err != nil {
			return nil, err
		}
		shard := f.config.Shard
		if shard == (Shard{}) {
			return nil, fmt.Errorf("results: %s is not a shard: its sweep ran without --shard", dir)
		}
		c := *f.config
		c.Shard = Shard{}
		if whole == nil {
			whole, first = &c, dir
			sources = make([]*journal, shard.Count)
		} else if d := difference(whole, &c); d != "" {
			return nil, fmt.Errorf("results: %s and %s are not shards of one sweep: %s", first, dir, d)
		} else if len(sources) != shard.Count {
			return nil, fmt.Errorf("results: %s is one of %d shards and %s one of %d; shards of one division are needed", first, len(sources), dir, shard.Count)
		}
		if other, twice := from[shard.Index]; twice {
			return nil, fmt.Errorf("results: %s and %s are both shard %v; each one once is allowed", other, dir, shard)
		}
		from[shard.Index] = dir
		if sources[shard.Index-1], err = openShard(f); err != nil {
			return nil, err
		}
	}
	var missing []string
	for i := range sources {
		if from[i+1] == "" {
			missing = append(missing, Shard{i + 1, len(sources)}.String())
		}
	}
	if len(missing) > 0 {
		more := ""
		if len(missing) > 10 {
			more = fmt.Sprintf(" and %d more", len(missing)-10)
			missing = missing[:10]
		}
		return nil, fmt.Errorf("results: missing shards: %s%s; all %d are needed", strings.Join(missing, ", "), more, len(sources))
	}
	return create(out, whole, force, sources)
}

// openShard opens the journal of a shard that must be complete.
func openShard(f *Folder) (*journal, error) {
	sw, err := f.Sweep()
	if err != nil {
		return nil, err
	}
	id, err := identify(f.config, sw)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(f.dir, partialDir, journalFile)
	n := chunks(sw)
	j, err := openJournal(path, id, n, false)
	if err != nil {
		return nil, err
	}
	own := f.config.Shard.owns(n)
	perMethod := int64(sw.Grid.Len()) * int64(sw.Starts.Len())
	for m := range sw.Methods {
		for i := range int(n) {
			if own(m, i) && !j.covers(m, i, int(min(batch.ChunkSize, perMethod-int64(i)*batch.ChunkSize))) {
				j.close()
				return nil, fmt.Errorf("results: %s (shard %v) is not complete; finish it with sweep --resume %s", f.dir, f.config.Shard, f.dir)
			}
		}
	}
	return j, nil
}

// difference is the first line in which two configurations differ; "" if they are equal.
func difference(a, b *Config) string {
	x, y := *a, *b
	x.Version, y.Version = "", ""
	as, bs := strings.Split(string(x.Encode()), "\n"), strings.Split(string(y.Encode()), "\n")
	for i := range max(len(as), len(bs)) {
		switch {
		case i >= len(as):
			return fmt.Sprintf("%q is only in the second", clip(bs[i]))
		case i >= len(bs):
			return fmt.Sprintf("%q is only in the first", clip(as[i]))
		case as[i] != bs[i]:
			return fmt.Sprintf("%q against %q", clip(as[i]), clip(bs[i]))
		}
	}
	return ""
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}

// inUse reports whether a process has the journal open to append to it.
func inUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !lock(f, false)
}

// Merging reports whether the Run joins shards.
func (r *Run) Merging() bool { return r.sources != nil }
