package results

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"invar/batch"
)

// The journal keeps the samples of an unfinished sweep, or of a shard: a header, then
// records in the order in which they were done, little-endian.
//
//	header  8 bytes magic, u32 batch.ChunkSize, 32 bytes fingerprint of the sweep, u32 CRC-32C of these
//	record  u32 method, u32 samples n, u64 first sample within the method, u32 columns k, u32 bytes of the payload,
//	        u32 CRC-32C of these and the payload; payload: k columns, those of program.Batch.Out, each a byte w and
//	        n numbers of w bytes: float64 for w = 8, unsigned integers for 1, 2 and 4
//
// A record is written by one call. What follows the last whole record is the
// torn end of a process that died, and is cut off when the journal is opened.
const (
	journalMagic  = "INVARJ2\n"
	journalHeader = 8 + 4 + 32 + 4
	recordHeader  = 4 + 4 + 8 + 4 + 4 + 4
	maxColumns    = 256
)

// unsaved is how long a new sweep, unless it is a shard, keeps no journal: what is done by then takes no longer to be run again than
// what is lost with a process that dies later, and a sweep that ends before needs none.
const unsaved = time.Second / 2

// syncEvery is how much time a machine that loses its power can take from the journal; a killed process takes
// nothing that was written.
const syncEvery = time.Second

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type fingerprint [32]byte

type journal struct {
	path    string
	f       *os.File
	chunks  int64     // a method
	dropped int64     // bytes of a torn end
	from    time.Time // samples that are done before it are not saved

	mu      sync.Mutex // guards what follows
	size    int64
	records map[int64][]record // by method*chunks + chunk
	samples int64
	dirty   bool
	err     error // of a sync

	idle  sync.Pool    // of *[]byte: records that were written
	also  func() error // to be synced as well
	stop  chan struct{}
	ended sync.WaitGroup
}

// record is where some samples are: from..from+n-1 of a chunk.
type record struct {
	offset        int64 // of the payload
	size          int32 // of the payload
	from, n, cols int32
}

// createJournal makes an empty journal, which appears with its header or not at all.
func createJournal(path string, id fingerprint, chunks int64) (*journal, error) {
	f, err := newPending(path, filepath.Dir(path))
	if err == nil {
		defer f.Cleanup()
		if _, err = f.Write(header(id)); err == nil {
			err = f.CloseAtomicallyReplace()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return openJournal(path, id, chunks, true)
}

func header(id fingerprint) []byte {
	h := append([]byte(journalMagic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(h[8:], batch.ChunkSize)
	h = append(h, id[:]...)
	return binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
}

var (
	errInUse   = errors.New("in use by another sweep; wait for it or stop it")
	errForeign = errors.New("made from another config.toml (was it edited?) or by another version of sweep, which computes other bits; run the sweep again, or go on with what made it")
)

// openJournal opens a journal and reads where its records are. To append, the torn end is cut off and the file locked.
func openJournal(path string, id fingerprint, chunks int64, appending bool) (_ *journal, err error) {
	flags := os.O_RDONLY
	if appending {
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if !lock(f, appending) {
		return nil, fmt.Errorf("results: %s: %w", path, errInUse)
	}
	have := make([]byte, journalHeader)
	if _, err := io.ReadFull(f, have); err != nil || string(have[:8]) != journalMagic ||
		binary.LittleEndian.Uint32(have[44:]) != crc32.Checksum(have[:44], castagnoli) {
		return nil, fmt.Errorf("results: %s: not a journal of sweep, or damaged in its first %d bytes", path, journalHeader)
	}
	if string(have) != string(header(id)) {
		return nil, fmt.Errorf("results: %s: %w", path, errForeign)
	}
	j := &journal{path: path, f: f, chunks: chunks, records: map[int64][]record{}}
	if err := j.scan(); err != nil {
		return nil, err
	}
	if appending {
		if err := f.Truncate(j.size); err != nil {
			return nil, fmt.Errorf("results: %w", err)
		}
		j.stop = make(chan struct{})
		j.ended.Go(j.syncing)
	}
	return j, nil
}

// scan finds the whole records.
func (j *journal) scan() error {
	info, err := j.f.Stat()
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	r := io.NewSectionReader(j.f, 0, info.Size())
	j.size = journalHeader
	var payload []byte
	for {
		h := make([]byte, recordHeader)
		if _, err := r.ReadAt(h, j.size); err != nil {
			break
		}
		method, n := binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])
		first, cols, size := binary.LittleEndian.Uint64(h[8:]), binary.LittleEndian.Uint32(h[16:]), binary.LittleEndian.Uint32(h[20:])
		if n < 1 || n > batch.ChunkSize || cols < 1 || cols > maxColumns || size > cols*(1+8*n) || first%batch.ChunkSize+uint64(n) > batch.ChunkSize ||
			first/batch.ChunkSize >= uint64(j.chunks) {
			break
		}
		payload = slices.Grow(payload[:0], int(size))[:size]
		if _, err := r.ReadAt(payload, j.size+recordHeader); err != nil {
			break
		}
		if crc32.Update(crc32.Checksum(h[:24], castagnoli), castagnoli, payload) != binary.LittleEndian.Uint32(h[24:]) {
			break
		}
		j.note(int64(method), int64(first), record{j.size + recordHeader, int32(size), int32(first % batch.ChunkSize), int32(n), int32(cols)})
		j.size += recordHeader + int64(len(payload))
	}
	j.dropped = info.Size() - j.size
	return nil
}

// key is where the records of a chunk are noted.
func (j *journal) key(method, chunk int64) int64 { return method*j.chunks + chunk }

func (j *journal) note(method, first int64, r record) {
	key := j.key(method, first/batch.ChunkSize)
	j.records[key] = append(j.records[key], r)
	j.samples += int64(r.n)
}

// save is the Save of a batch.Sweep.
func (j *journal) save(c *batch.Chunk, from, to int) error {
	if time.Now().Before(j.from) {
		return nil
	}
	if from > 0 && len(j.of(c.Method, c.Index)) == 0 {
		from = 0 // what comes before was done before j.from; without it the rest would be of no use
	}
	cols := len(c.Batch.Out)
	n := to - from
	room, ok := j.idle.Get().(*[]byte)
	if !ok {
		room = new([]byte)
	}
	b := slices.Grow((*room)[:0], recordHeader+cols*(1+8*n))[:recordHeader]
	defer func() {
		*room = b
		j.idle.Put(room)
	}()
	first := c.First + int64(from)
	binary.LittleEndian.PutUint32(b, uint32(c.Method))
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	binary.LittleEndian.PutUint64(b[8:], uint64(first))
	binary.LittleEndian.PutUint32(b[16:], uint32(cols))
	for _, col := range c.Batch.Out {
		b = appendColumn(b, col[from:to])
	}
	binary.LittleEndian.PutUint32(b[20:], uint32(len(b)-recordHeader))
	sum := crc32.Update(crc32.Checksum(b[:24], castagnoli), castagnoli, b[recordHeader:])
	binary.LittleEndian.PutUint32(b[24:], sum)

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return fmt.Errorf("results: %w", j.err)
	}
	if _, err := j.f.WriteAt(b, j.size); err != nil {
		// A full disk takes a part of a record; nothing is left half-written.
		j.f.Truncate(j.size)
		return fmt.Errorf("results: %w", err)
	}
	j.note(int64(c.Method), first, record{j.size + recordHeader, int32(len(b) - recordHeader), int32(from), int32(n), int32(cols)})
	j.size += int64(len(b))
	j.dirty = true
	return nil
}

// width is how many bytes hold each number of x: 1, 2 or 4 where all are whole and not too large, as counts are, else 8.
func width(x []float64) int {
	bits := int64(0)
	for _, v := range x {
		i := int64(v)
		if math.Float64bits(float64(i)) != math.Float64bits(v) { // as for -0
			return 8
		}
		bits |= i
	}
	switch {
	case bits < 0:
		return 8
	case bits < 1<<8:
		return 1
	case bits < 1<<16:
		return 2
	case bits < 1<<32:
		return 4
	}
	return 8
}

// appendColumn appends a column of a record.
func appendColumn(b []byte, x []float64) []byte {
	w := width(x)
	at := len(b) + 1
	b = slices.Grow(b, 1+w*len(x))[:at+w*len(x)]
	b[at-1] = byte(w)
	out := b[at:]
	switch w {
	case 1:
		for i, v := range x {
			out[i] = byte(int64(v))
		}
	case 2:
		for i, v := range x {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(int64(v)))
		}
	case 4:
		for i, v := range x {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(int64(v)))
		}
	default:
		for i, v := range x {
			binary.LittleEndian.PutUint64(out[8*i:], math.Float64bits(v))
		}
	}
	return b
}

// readColumn reads a column of a record and returns what follows it; false if that is no column of so many numbers.
func readColumn(b []byte, x []float64) (rest []byte, ok bool) {
	if len(b) < 1 {
		return nil, false
	}
	w := int(b[0])
	if b = b[1:]; len(b) < w*len(x) {
		return nil, false
	}
	for i := range x {
		switch w {
		case 1:
			x[i] = float64(b[i])
		case 2:
			x[i] = float64(binary.LittleEndian.Uint16(b[2*i:]))
		case 4:
			x[i] = float64(binary.LittleEndian.Uint32(b[4*i:]))
		case 8:
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		default:
			return nil, false
		}
	}
	return b[w*len(x):], true
}

// load is the Load of a batch.Sweep.
func (j *journal) load(c *batch.Chunk) (int, error) {
	records := slices.Clone(j.of(c.Method, c.Index))
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.from, b.from) })
	at := 0
	var payload []byte
	for _, r := range records {
		if int(r.from) != at || int(r.cols) != len(c.Batch.Out) || at+int(r.n) > c.Batch.N {
			break
		}
		payload = slices.Grow(payload[:0], int(r.size))[:r.size]
		if _, err := j.f.ReadAt(payload, r.offset); err != nil {
			return 0, fmt.Errorf("results: %w", err)
		}
		rest := payload
		for _, col := range c.Batch.Out {
			var ok bool
			if rest, ok = readColumn(rest, col[at:at+int(r.n)]); !ok {
				return 0, fmt.Errorf("results: %s: the record at byte %d is not one of sweep", j.path, r.offset-recordHeader)
			}
		}
		at += int(r.n)
	}
	return at, nil
}

// of gives the records of a chunk.
func (j *journal) of(method, chunk int) []record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.records[j.key(int64(method), int64(chunk))]
}

// covers reports whether all n samples of a chunk are there.
func (j *journal) covers(method, chunk, n int) bool {
	for _, r := range j.of(method, chunk) {
		n -= int(r.n)
	}
	return n <= 0
}

// syncing puts on the disk, once in a while, what has been written.
func (j *journal) syncing() {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
		}
		j.mu.Lock()
		dirty, also := j.dirty, j.also
		j.dirty = false
		j.mu.Unlock()
		if !dirty {
			continue
		}
		err := j.f.Sync()
		if err == nil && also != nil {
			err = also()
		}
		if err != nil {
			j.mu.Lock()
			j.err = err
			j.mu.Unlock()
		}
	}
}

// close ends the journal, with all of it on the disk if it was written to.
func (j *journal) close() error {
	if j.stop != nil {
		close(j.stop)
		j.ended.Wait()
		if j.dirty && j.err == nil {
			j.err = j.f.Sync()
		}
		j.stop = nil
	}
	err := errors.Join(j.err, j.f.Close())
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// forget says that the journal is not needed any more: what it holds need not come to the disk.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dirty = false
}
