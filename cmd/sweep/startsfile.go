package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sbinet/npyio/npy"

	"invar/batch"
	"invar/internal/nearest"
	"invar/internal/plural"
)

// Bounds on a file of starts.
const (
	maxStartsFile = 1 << 30 // bytes
	maxStarts     = 1 << 31 // numbers that a file may claim to hold
)

// readStarts reads starts, one a row, for the given inputs: a .csv file, with or without a
// header, or a .npy file of float64 or float32. Errors name the file, the row
// and the column, both counted from 1; the rows of a .csv file are its lines.
func readStarts(file string, inputs []string) (batch.Points, error) {
	bad := func(format string, args ...any) (batch.Points, error) {
		return nil, fmt.Errorf("--starts-file %s: %s", file, fmt.Sprintf(format, args...))
	}
	var parse func([]byte, []string) (batch.Points, error)
	formats := []string{".csv", ".npy"}
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".csv":
		parse = parseCSV
	case ".npy":
		parse = parseNPY
	default:
		return bad("the ending %q is not known%s; .csv and .npy are allowed", ext, nearest.Hint(ext, formats))
	}
	f, err := os.Open(file)
	if err != nil {
		return bad("%v", short1(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStartsFile+1))
	if err != nil {
		return bad("%v", short1(err))
	}
	if len(data) > maxStartsFile {
		return bad("it is larger than %d bytes, the most allowed", maxStartsFile)
	}
	points, err := parse(data, inputs)
	if err != nil {
		return bad("%v", err)
	}
	if len(points) == 0 {
		return bad("it has no rows; a row is one start: %s", strings.Join(inputs, ", "))
	}
	return points, nil
}

// short1 is a file error without the operation and the name.
func short1(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// parseCSV reads numbers in columns. The first line is a header if none of its fields is a number;
// it must then name the inputs (or x0, x1, ...), in any order.
func parseCSV(data []byte, inputs []string) (batch.Points, error) {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return nil, errors.New("it is UTF-16; UTF-8 is allowed: save it as \"CSV UTF-8\"")
		}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	r.ReuseRecord = true
	var points batch.Points
	var column []int // of each field: the input; nil without a header
	for first := true; ; first = false {
		fields, err := r.Read()
		if err == io.EOF {
			return points, nil
		}
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "parse error on "))
		}
		row, _ := r.FieldPos(0)
		if len(fields) == 1 && len(inputs) > 1 && strings.ContainsAny(strings.TrimSpace(fields[0]), ";\t ") {
			return nil, fmt.Errorf("row %d has 1 column: %q; columns are separated by commas", row, fields[0])
		}
		if first && isHeader(fields) {
			if column, err = header(fields, inputs); err != nil {
				return nil, fmt.Errorf("row %d: %w", row, err)
			}
			continue
		}
		if len(fields) != len(inputs) {
			return nil, fmt.Errorf("row %d has %s; the problem has %s: %s", row,
				plural.Of(len(fields), "column"), plural.Of(len(inputs), "input"), strings.Join(inputs, ", "))
		}
		x := make([]float64, len(inputs))
		for i, s := range fields {
			s = strings.TrimSpace(s)
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("row %d, column %d: %q is not a finite number", row, i+1, s)
			}
			if column != nil {
				x[column[i]] = v
			} else {
				x[i] = v
			}
		}
		points = append(points, x)
	}
}

func isHeader(fields []string) bool {
	for _, s := range fields {
		if _, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil || strings.TrimSpace(s) == "" {
			return false
		}
	}
	return true
}

// header says which input each column holds.
func header(fields, inputs []string) ([]int, error) {
	column := make([]int, len(fields))
	for i, s := range fields {
		s = strings.TrimSpace(s)
		at := slices.Index(inputs, s)
		if k, err := strconv.Atoi(strings.TrimPrefix(s, "x")); at < 0 && err == nil && s == fmt.Sprintf("x%d", k) && k < len(inputs) {
			at = k
		}
		if at < 0 {
			return nil, fmt.Errorf("column %d: %q is not an input%s; the inputs are %s", i+1, s, nearest.Hint(s, inputs), strings.Join(inputs, ", "))
		}
		if slices.Contains(column[:i], at) {
			return nil, fmt.Errorf("column %d: the input %s is there twice", i+1, s)
		}
		column[i] = at
	}
	if len(fields) != len(inputs) {
		return nil, fmt.Errorf("the header names %s; the problem has %s: %s", plural.Of(len(fields), "column"), plural.Of(len(inputs), "input"), strings.Join(inputs, ", "))
	}
	return column, nil
}

// parseNPY reads a NumPy array of shape (rows, inputs), or (rows,) for one input.
func parseNPY(data []byte, inputs []string) (points batch.Points, err error) {
	defer func() {
		if recover() != nil { // npyio slices headers without looking
			points, err = nil, errors.New("it is not a NumPy file that can be read")
		}
	}()
	in := bytes.NewReader(data)
	r, err := npy.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("it is not a NumPy file that can be read: %s", strings.TrimPrefix(err.Error(), "npy: "))
	}
	shape, kind := r.Header.Descr.Shape, r.Header.Descr.Type
	if len(shape) == 1 && len(inputs) == 1 {
		shape = []int{shape[0], 1}
	}
	if len(shape) != 2 || shape[1] != len(inputs) {
		return nil, fmt.Errorf("its shape is %s; (rows, %d) is allowed, a column for each of the inputs %s", shapeText(r.Header.Descr.Shape), len(inputs), strings.Join(inputs, ", "))
	}
	size := map[string]int{"f8": 8, "f4": 4}[strings.TrimLeft(kind, "<>=|")]
	if size == 0 {
		return nil, fmt.Errorf("its numbers are of type %q; float64 and float32 are allowed", kind)
	}
	rows, n := shape[0], len(inputs)
	if rows < 0 || rows > maxStarts/n {
		return nil, fmt.Errorf("it claims %d rows; at most %d are allowed", rows, maxStarts/n)
	}
	// npyio takes what is missing for zeros.
	if in.Len() != rows*n*size {
		return nil, fmt.Errorf("%d bytes follow the header; %d rows of %d numbers take %d", in.Len(), rows, n, rows*n*size)
	}
	if rows == 0 {
		return nil, nil
	}
	v := make([]float64, rows*n)
	if size == 8 {
		err = r.Read(&v)
	} else {
		narrow := make([]float32, len(v))
		err = r.Read(&narrow)
		for i, x := range narrow {
			v[i] = float64(x)
		}
	}
	if err != nil {
		return nil, err
	}
	points = make(batch.Points, rows)
	for i := range points {
		points[i] = make([]float64, n)
		for k := range points[i] {
			x := v[i*n+k]
			if r.Header.Descr.Fortran {
				x = v[k*rows+i]
			}
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, fmt.Errorf("row %d, column %d: %v is not a finite number", i+1, k+1, x)
			}
			points[i][k] = x
		}
	}
	return points, nil
}

func shapeText(shape []int) string {
	s := make([]string, len(shape))
	for i, n := range shape {
		s[i] = strconv.Itoa(n)
	}
	if len(s) == 1 {
		return "(" + s[0] + ",)"
	}
	return "(" + strings.Join(s, ", ") + ")"
}

// parseBox reads --box: lo:hi for all of n coordinates, or lo:hi,lo:hi,... one each.
func parseBox(s string, inputs []string) ([][2]float64, error) {
	bad := func(format string, args ...any) ([][2]float64, error) {
		return nil, fmt.Errorf("--box %s: %s; allowed is lo:hi for all inputs, or one for each of %s", s, fmt.Sprintf(format, args...), strings.Join(inputs, ","))
	}
	parts := strings.Split(s, ",")
	if len(parts) != 1 && len(parts) != len(inputs) {
		return bad("%s for %s", plural.Of(len(parts), "range"), plural.Of(len(inputs), "input"))
	}
	box := make([][2]float64, len(inputs))
	for i, part := range parts {
		ends := strings.Split(part, ":")
		if len(ends) != 2 {
			return bad("%q is not lo:hi", part)
		}
		for k, t := range ends {
			v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return bad("%q is not a finite number", t)
			}
			box[i][k] = v
		}
		if w := box[i][1] - box[i][0]; !(w > 0) || math.IsInf(w, 0) {
			return bad("lo %v is not below hi %v, or the width overflows", box[i][0], box[i][1])
		}
	}
	if len(parts) == 1 {
		for i := range box {
			box[i] = box[0]
		}
	}
	return box, nil
}
