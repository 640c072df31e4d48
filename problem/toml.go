package problem

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"invar/problem/formula"
)

// file is a TOML document with the places of its fields, so that every message can give a line.
type file struct {
	name string
	data []byte
	// at has the byte offset of every field and every element of a list, by its path as messages
	// show it: "simulate.step[1]".
	at map[string]int
}

// decode reads a TOML document into generic values: the checks of the fields are ours, because
// theirs speak of Go types.
func decode(name string, data []byte) (*file, table, error) {
	f := &file{name: name, data: data, at: map[string]int{}}
	if len(data) > MaxFile {
		return nil, table{}, fmt.Errorf("problem: %s: the file is larger than %d bytes, the most allowed", name, MaxFile)
	}
	fields := map[string]any{}
	if err := toml.Unmarshal(data, &fields); err != nil {
		var de *toml.DecodeError
		if errors.As(err, &de) {
			line, column := de.Position()
			text := bytes.Split(data, []byte("\n"))[line-1]
			place := formula.Error{Source: string(text), Pos: column - 1}
			return nil, table{}, fmt.Errorf("problem: %s:%d: not TOML: %s\n%s", name, line, strings.TrimPrefix(de.Error(), "toml: "), place.Caret())
		}
		return nil, table{}, fmt.Errorf("problem: %s: not TOML: %w", name, err)
	}
	f.locate()
	return f, table{f, "", fields}, nil
}

// locate fills f.at by a second pass over the document, which is known to be well-formed.
func (f *file) locate() {
	var p unstable.Parser
	p.Reset(f.data)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		var path []string
		place := -1
		for key := e.Key(); key.Next(); {
			k := key.Node()
			path = append(path, string(k.Data))
			if place < 0 {
				place = int(k.Raw.Offset)
			}
		}
		name := strings.Join(path, ".")
		if e.Kind != unstable.KeyValue {
			f.at[name] = place
			prefix = name + "."
			continue
		}
		name = prefix + name
		f.at[name] = place
		if value := e.Value(); value.Kind == unstable.Array {
			i := 0
			for elements := value.Children(); elements.Next(); i++ {
				if raw := elements.Node().Raw; raw.Length > 0 {
					f.at[element(name, i)] = int(raw.Offset)
				}
			}
		}
	}
}

// line returns the line of a field, or of the nearest enclosing one whose place is known; 0 if none.
func (f *file) line(field string) int {
	for field != "" {
		if offset, ok := f.at[field]; ok {
			return 1 + bytes.Count(f.data[:offset], []byte("\n"))
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return 0
}

// errorf makes an error about a field. An empty field stands for the whole file.
func (f *file) errorf(field, format string, args ...any) error {
	where := f.name
	if line := f.line(field); line > 0 {
		where += ":" + strconv.Itoa(line)
	}
	if field != "" {
		where += ": " + field
	}
	return fmt.Errorf("problem: %s: "+format, append([]any{where}, args...)...)
}

func element(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// table is a TOML table; its methods read fields and check their types.
type table struct {
	file   *file
	path   string // "" or "simulate"
	fields map[string]any
}

// field returns the name of a field as messages show it.
func (t table) field(key string) string {
	if t.path == "" {
		return key
	}
	return t.path + "." + key
}

// keys returns the table's keys in the order of the file.
func (t table) keys() []string {
	keys := make([]string, 0, len(t.fields))
	for k := range t.fields {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := t.file.at[t.field(keys[i])], t.file.at[t.field(keys[j])]
		return a < b || a == b && keys[i] < keys[j]
	})
	return keys
}

// allow refuses every field but those listed.
func (t table) allow(allowed ...string) error {
	for _, k := range t.keys() {
		if !slices.Contains(allowed, k) {
			return t.file.errorf(t.field(k), "unknown field %q%s; allowed: %s", k, didYouMean(k, allowed), enumerate(allowed))
		}
	}
	return nil
}

// require refuses a table without the fields listed.
func (t table) require(keys ...string) error {
	for _, k := range keys {
		if _, ok := t.fields[k]; !ok {
			return t.file.errorf(t.path, "the field %q is missing", k)
		}
	}
	return nil
}

// describe names a TOML value for a message.
func describe(v any) string {
	const longest = 40
	switch v := v.(type) {
	case string:
		if len(v) > longest {
			v = v[:longest] + "..."
		}
		return fmt.Sprintf("the string %q", v)
	case int64, float64, bool:
		return fmt.Sprint(v)
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

func (t table) text(key string) (string, error) {
	v, ok := t.fields[key]
	if !ok {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", t.file.errorf(t.field(key), "a string is expected, found %s", describe(v))
	}
	return s, nil
}

// list reads a list; one that is left out is nil.
func (t table) list(key string) ([]any, error) {
	v, ok := t.fields[key]
	if !ok {
		return nil, nil
	}
	l, ok := v.([]any)
	if !ok {
		return nil, t.file.errorf(t.field(key), "a list is expected, as in %s = [...], found %s", key, describe(v))
	}
	return l, nil
}

// listOf reads a list of the given length; one that is left out is nil. why says where the length
// comes from.
func (t table) listOf(key string, length int, why string) ([]any, error) {
	l, err := t.list(key)
	if err != nil {
		return nil, err
	}
	if _, ok := t.fields[key]; ok && len(l) != length {
		return nil, t.file.errorf(t.field(key), "%d entries are expected, %s, found %d", length, why, len(l))
	}
	return l, nil
}

// strings reads a list of strings of a bounded length.
func (t table) strings(key string, most int) ([]string, error) {
	l, err := t.list(key)
	if err != nil {
		return nil, err
	}
	if _, ok := t.fields[key]; ok && (len(l) == 0 || len(l) > most) {
		return nil, t.file.errorf(t.field(key), "1 to %d entries are allowed, found %d", most, len(l))
	}
	s := make([]string, len(l))
	for i, v := range l {
		var ok bool
		if s[i], ok = v.(string); !ok {
			return nil, t.file.errorf(element(t.field(key), i), "a string is expected, found %s", describe(v))
		}
	}
	return s, nil
}

// table reads a table within the table; ok is false where it is left out.
func (t table) table(key string) (sub table, ok bool, err error) {
	v, ok := t.fields[key]
	if !ok {
		return table{}, false, nil
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return table{}, false, t.file.errorf(t.field(key), "a table is expected, as in [%s], found %s", t.field(key), describe(v))
	}
	return table{t.file, t.field(key), fields}, true, nil
}

// number reads a finite number.
func (f *file) number(field string, v any) (float64, error) {
	var x float64
	switch v := v.(type) {
	case int64:
		x = float64(v)
	case float64:
		x = v
	default:
		return 0, f.errorf(field, "a number is expected, found %s", describe(v))
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, f.errorf(field, "a finite number is expected, found %v", x)
	}
	return x, nil
}

// numbers reads all fields of a table as finite numbers.
func (t table) numbers() (map[string]float64, error) {
	m := make(map[string]float64, len(t.fields))
	for _, k := range t.keys() {
		x, err := t.file.number(t.field(k), t.fields[k])
		if err != nil {
			return nil, err
		}
		m[k] = x
	}
	return m, nil
}
