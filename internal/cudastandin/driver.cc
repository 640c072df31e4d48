// A stand-in for libcuda.so.1: the part of NVIDIA's driver interface that Invar uses, on the host. It shows that the host
// side calls the driver rightly and that the PTX computes what it should; it says nothing about a GPU's speed.
//
// Device memory starts as NaN and lies at addresses that mean nothing to the host, with gaps between allocations;
// every handle and every size is checked. A launch interprets the PTX that was loaded, its threads by turns. As
// with the real driver a fault of a kernel shows at the next call that waits for it, and the context is lost with it.
//
// What a stream is asked to do waits: it is done when somebody synchronises with the stream, or before, as the setting
// streams says. Until then the host memory of a copy is not the host's: what a copy writes is made NaN at once, what a copy
// reads must not have changed when it is read, and neither host memory, device memory, streams nor modules
// may be freed while something waits that needs them. Copies take page-locked memory only (the real driver takes any,
// but then copies do not go on beside a kernel). Page-locked memory ends at a page that cannot be touched, nor can it
// itself once it is freed. A context is not destroyed while it has memory, streams or modules, unless it is lost.
//
// The environment variable CUDASTANDIN, read at every call, holds settings with commas between them:
//
//   nodevice        there is a driver, but no device
//   version=N       version of the driver (default 12040)
//   devices=N       number of devices (default 1)
//   memory=N        bytes of device memory (default 1 GiB)
//   capability=N    compute capability (default 70)
//   oom=K           the K-th allocation from now on, on a device or page-locked, finds no memory
//   launch=K        the K-th launch from now on fails
//   lost=K          the device is lost at the K-th call from now on that needs a context
//   order=backward  threads run in this order; also forward (the default) and shuffle
//   streams=eager   what a stream is asked to do is done at once; late: when the stream is synchronised with; mixed (the
//                   default): at any time between, streams by turns
//   pause=N         microseconds that pass, other calls being served, before a stream that is synchronised with goes on
//   seed=N          of the shuffle and the turns
//   quiet           says nothing of faults on standard error
//   report          prints one line a launch to standard error, and one where a copy is asked for beside a launch that waits
//
// memory=N:M:... and capability=N:M:... are of device 0, 1, ...; the last holds for all further ones. oom=K@D, launch=K@D and
// lost=K@D count on device D alone.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>

#include "ptx.h"

namespace {

enum Result {
  Success = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, NoDevice = 100, InvalidDevice = 101, InvalidImage = 200,
  InvalidContext = 201, InvalidPtx = 218, UnsupportedPtxVersion = 222, InvalidHandle = 400, NotFound = 500,
  IllegalAddress = 700, LaunchOutOfResources = 701, LaunchTimeout = 702, ContextIsDestroyed = 709, MisalignedAddress = 716, LaunchFailed = 719, Unknown = 999,
};
typedef unsigned long long Pointer;

const uint64_t kInstructionLimit = 20'000'000'000;  // of one launch: a display's driver would have ended it long before
const uint32_t kMultiprocessors = 2, kBlocks = 2;   // blocks that fit one multiprocessor
const uint32_t kThreads = 256;                      // threads that fit one multiprocessor
const size_t kPage = 4096, kQuarantine = 64;        // page-locked memory that was freed and cannot be touched

struct Module;
struct Function {
  Module *module;
  const ptx::Entry *entry;
};

// Operation waits in a stream. It needs n bytes of host memory, of device memory, or both, or a module and what
// the parameters of its kernel point at.
struct Operation {
  const char *host;
  Pointer device;
  size_t n;
  Module *module;
  std::vector<uint64_t> params;
  std::function<int()> run;
};
struct Context;
struct Stream {
  Context *context;
  std::deque<Operation> waiting;
};
struct Context {
  int device;
  int fault = Success;  // every later call returns it
  std::set<Module *> modules;
  std::set<Stream *> streams;
};
struct Module {
  Context *context;
  std::unique_ptr<ptx::Module> code;
  Pointer global = 0;
  std::map<std::string, Function> functions;
};
struct Allocation {
  Context *context;
  std::vector<uint8_t> bytes;
};
struct Locked {  // page-locked memory
  Context *context;
  size_t size;
  void *map;
  size_t mapped;
};
struct Count {
  uint64_t all = 0;
  std::map<int, uint64_t> on;  // a device
};

std::mutex mutex;
bool initialized;
std::set<Context *> contexts;
thread_local Context *current;
std::map<Pointer, Allocation> allocations;
std::map<const char *, Locked> locked;
std::deque<std::pair<void *, size_t>> quarantine;
Pointer next_address = 0x7f0000000000;
std::map<int, uint64_t> used;  // bytes of a device
Count count_allocations, count_launches, count_calls;
std::string settings;
uint64_t random_state = 1;

uint64_t draw() { return random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17; }

// setting finds a setting; without a value it is 1, absent it is otherwise.
uint64_t setting(const char *name, uint64_t otherwise, std::string *text = nullptr) {
  const char *env = getenv("CUDASTANDIN");
  const std::string now = env ? env : "";
  if (now != settings) {
    settings = now;
    count_allocations = count_launches = count_calls = {};
    random_state = 0x9e3779b97f4a7c15 * (setting("seed", 1) + 1);
  }
  for (size_t i = 0; i < now.size();) {
    const size_t end = std::min(now.find(',', i), now.size()), eq = std::min(now.find('=', i), end);
    if (now.compare(i, eq - i, name) == 0) {
      const std::string v = eq < end ? now.substr(eq + 1, end - eq - 1) : "1";
      if (text) *text = v;
      return strtoull(v.c_str(), nullptr, 0);
    }
    i = end + 1;
  }
  return otherwise;
}

// of finds a setting that devices have each.
uint64_t of(const char *name, int device, uint64_t otherwise) {
  std::string text;
  const uint64_t first = setting(name, otherwise, &text);
  size_t at = 0;
  for (; device > 0; device--) {
    const size_t colon = text.find(':', at);
    if (colon == std::string::npos) break;
    at = colon + 1;
  }
  return at ? strtoull(text.c_str() + at, nullptr, 0) : first;
}

// due counts what happens on a device and finds out whether a setting wants it to fail this time.
bool due(const char *name, Count &count, int device) {
  std::string text;
  const uint64_t k = setting(name, 0, &text);
  const uint64_t all = ++count.all, here = ++count.on[device];
  const size_t on = text.find('@');
  if (on == std::string::npos) return k == all;
  return std::stoi(text.substr(on + 1)) == device && k == here;
}

void say(const char *what) {
  if (!setting("quiet", 0)) fprintf(stderr, "cudastandin: %s\n", what);
}
int refuse(const char *what) {
  say(what);
  return InvalidValue;
}

// lose makes every later call in a context return a fault; what waits is not done any more.
void lose(Context *c, int fault) {
  c->fault = fault;
  for (Stream *s : c->streams) s->waiting.clear();
}

// Call is a call in the current context: it holds the lock and finds out whether the context works.
struct Call {
  std::lock_guard<std::mutex> lock{mutex};
  int result = !initialized ? NotInitialized : !current ? InvalidContext : !contexts.count(current) ? ContextIsDestroyed : current->fault;
  Call() {
    if (result || !due("lost", count_calls, current->device)) return;
    lose(current, result = Unknown);
  }
};
#define IN_CONTEXT \
  Call call;       \
  if (call.result) return call.result

// find is the host's place for n bytes at a device address, null if they are not inside one allocation of the context.
uint8_t *find(Pointer p, size_t n, const Context *c) {
  auto it = allocations.upper_bound(p);
  if (it == allocations.begin()) return nullptr;
  --it;
  const uint64_t at = p - it->first;
  return it->second.context == c && at + n <= it->second.bytes.size() && at + n >= at ? it->second.bytes.data() + at : nullptr;
}

uint64_t memory(int device) { return of("memory", device, 1ull << 30); }

int allocate(Pointer *p, size_t n) {
  if (!p || n == 0) return InvalidValue;
  if (due("oom", count_allocations, current->device) || used[current->device] + n > memory(current->device)) return OutOfMemory;
  *p = next_address;
  next_address += (n + 0x1ffff) / 0x10000 * 0x10000;  // at least 64 KiB apart, and aligned
  allocations[*p] = {current, std::vector<uint8_t>(n, 0xff)};
  used[current->device] += n;
  return Success;
}

void release(std::map<Pointer, Allocation>::iterator it) {
  used[it->second.context->device] -= it->second.bytes.size();
  allocations.erase(it);
}

// is_locked finds out whether n bytes of the host's lie inside one piece of page-locked memory.
bool is_locked(const char *p, size_t n) {
  auto it = locked.upper_bound(p);
  if (it == locked.begin()) return false;
  --it;
  const size_t at = p - it->first;
  return at + n <= it->second.size && at + n >= at;
}

void unlock(std::map<const char *, Locked>::iterator it) {
  mprotect(it->second.map, it->second.mapped, PROT_NONE);
  quarantine.push_back({it->second.map, it->second.mapped});
  if (quarantine.size() > kQuarantine) {
    munmap(quarantine.front().first, quarantine.front().second);
    quarantine.pop_front();
  }
  locked.erase(it);
}

// needed finds out whether anything that waits is about these bytes, or this module.
bool needed(const char *host, Pointer device, size_t n, const Module *module) {
  for (const Context *c : contexts)
    for (const Stream *s : c->streams)
      for (const Operation &o : s->waiting) {
        if (host && o.host && host < o.host + o.n && o.host < host + n) return true;
        if (device && device < o.device + o.n && o.device < device + n) return true;
        for (const uint64_t p : o.params)
          if (device && device <= p && p < device + n) return true;
        if (module && o.module == module) return true;
      }
  return false;
}

// step does the first thing that waits in a stream.
void step(Stream *s) {
  const Operation o = std::move(s->waiting.front());
  s->waiting.pop_front();
  if (int fault = o.run()) lose(s->context, fault);
}

// step_any does, by chance, a few things that wait in any streams.
void step_any() {
  for (uint64_t n = draw() % 3; n > 0; n--) {
    std::vector<Stream *> some;
    for (Context *c : contexts)
      for (Stream *s : c->streams)
        if (!s->waiting.empty()) some.push_back(s);
    if (some.empty()) return;
    step(some[draw() % some.size()]);
  }
}

// ask has something wait in a stream.
int ask(Stream *s, Operation o) {
  std::string when = "mixed";
  setting("streams", 0, &when);
  s->waiting.push_back(std::move(o));
  if (when == "eager") step(s);
  if (when == "mixed") step_any();
  return Success;  // a fault shows at the next call
}

// beside reports a copy that is asked for while a launch waits in another stream of the device.
void beside(const Stream *s) {
  if (!setting("report", 0)) return;
  for (const Stream *t : s->context->streams)
    for (const Operation &o : t->waiting)
      if (t != s && o.module) {
        fprintf(stderr, "cudastandin: device %d: a copy beside a launch\n", s->context->device);
        return;
      }
}

// finish does all that waits in a stream.
int finish(Stream *s) {
  std::string when = "mixed";
  setting("streams", 0, &when);
  while (!s->waiting.empty()) {
    if (when == "mixed") step_any();
    if (!s->waiting.empty()) step(s);
  }
  return s->context->fault;
}

int run(const Function *f, uint32_t grid, uint32_t block, const std::vector<uint64_t> &params) {
  ptx::Launch launch{f->entry, params, f->module->global, block, grid, nullptr};
  Pointer last = 0;
  Allocation *in = nullptr;
  launch.memory = [&](uint64_t p, size_t n) -> void * {
    if (!in || p < last || p - last + n > in->bytes.size()) {
      if (!find(p, n, f->module->context)) throw ptx::AddressError("address outside of every allocation");
      auto it = --allocations.upper_bound(p);
      last = it->first, in = &it->second;
    }
    if (p % n) throw ptx::AddressError("misaligned address");
    return in->bytes.data() + (p - last);
  };
  std::vector<ptx::Thread> threads;
  threads.reserve(size_t(grid) * block);
  for (uint32_t c = 0; c < grid; c++)
    for (uint32_t t = 0; t < block; t++) threads.emplace_back(launch, c, t);
  std::vector<uint32_t> turn(threads.size());
  for (size_t i = 0; i < turn.size(); i++) turn[i] = i;
  std::string order = "forward";
  setting("order", 0, &order);
  if (order == "backward") std::reverse(turn.begin(), turn.end());
  uint64_t left = kInstructionLimit;
  try {
    while (!turn.empty()) {
      if (order == "shuffle")
        for (size_t i = turn.size(); i > 1; i--) std::swap(turn[i - 1], turn[draw() % i]);
      size_t stay = 0;
      for (const uint32_t t : turn) {
        const int n = 1 + draw() % 97;  // no thread may count on how far the others are
        if (threads[t].run(n)) turn[stay++] = t;
        if ((left -= n) > kInstructionLimit) return LaunchTimeout;
      }
      turn.resize(stay);
    }
  } catch (ptx::Error &e) {
    say((f->entry->name + ": " + e.what()).c_str());
    return dynamic_cast<ptx::AddressError *>(&e) ? IllegalAddress : LaunchFailed;
  }
  return Success;
}

// live finds out whether a stream is one of this context. The null stream is not: it would wait for others.
bool live(Stream *stream) { return current->streams.count(stream); }

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) int

API cuInit(unsigned flags) {
  std::lock_guard<std::mutex> lock(mutex);
  if (flags) return InvalidValue;
  if (setting("nodevice", 0)) return NoDevice;
  initialized = true;
  return Success;
}
API cuDriverGetVersion(int *v) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!v) return InvalidValue;
  *v = setting("version", 12040);
  return Success;
}

// ---- devices
API cuDeviceGetCount(int *n) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  *n = setting("devices", 1);
  return Success;
}
API cuDeviceGet(int *d, int i) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  if (i < 0 || uint64_t(i) >= setting("devices", 1)) return InvalidDevice;
  *d = i;
  return Success;
}
API cuDeviceGetName(char *name, int n, int d) {
  if (!initialized) return NotInitialized;
  if (!name || n < 1) return InvalidValue;
  snprintf(name, n, "stand-in %d", d);
  return Success;
}
API cuDeviceTotalMem_v2(size_t *n, int d) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  *n = memory(d);
  return Success;
}
API cuDeviceGetAttribute(int *v, int attribute, int d) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  switch (attribute) {
    case 16: *v = kMultiprocessors + d % 2; break;              // MULTIPROCESSOR_COUNT
    case 39: *v = kThreads; break;                              // MAX_THREADS_PER_MULTIPROCESSOR
    case 75: *v = of("capability", d, 70) / 10; break;          // COMPUTE_CAPABILITY_MAJOR
    case 76: *v = of("capability", d, 70) % 10; break;          // COMPUTE_CAPABILITY_MINOR
    default: return InvalidValue;
  }
  return Success;
}

// ---- contexts
API cuCtxCreate_v2(Context **c, unsigned, int device) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  if (!c) return InvalidValue;
  if (device < 0 || uint64_t(device) >= setting("devices", 1)) return InvalidDevice;
  contexts.insert(current = *c = new Context{device, Success, {}, {}});
  return Success;
}
API cuCtxDestroy_v2(Context *c) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!contexts.count(c)) return InvalidContext;
  auto its = [c](auto &x) { return x.second.context == c; };
  if (!c->fault && (std::any_of(allocations.begin(), allocations.end(), its) || std::any_of(locked.begin(), locked.end(), its) ||
                    !c->streams.empty() || !c->modules.empty()))
    return refuse("cuCtxDestroy: memory, streams or modules are left");
  for (auto it = allocations.begin(); it != allocations.end();) {
    auto at = it++;
    if (its(*at)) release(at);
  }
  for (auto it = locked.begin(); it != locked.end();) {
    auto at = it++;
    if (its(*at)) unlock(at);
  }
  for (Module *m : c->modules) delete m;
  for (Stream *s : c->streams) delete s;
  if (current == c) current = nullptr;
  contexts.erase(c);
  delete c;
  return Success;
}
API cuCtxSetCurrent(Context *c) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  if (c && !contexts.count(c)) return InvalidContext;
  current = c;
  return Success;
}
API cuCtxSynchronize() {
  IN_CONTEXT;
  for (Stream *s : current->streams) finish(s);
  return current->fault;
}

// ---- memory
API cuMemGetInfo_v2(size_t *free, size_t *total) {
  IN_CONTEXT;
  if (!free || !total) return InvalidValue;
  *total = memory(current->device);
  *free = *total > used[current->device] ? *total - used[current->device] : 0;
  return Success;
}
API cuMemAlloc_v2(Pointer *p, size_t n) {
  IN_CONTEXT;
  return allocate(p, n);
}
API cuMemFree_v2(Pointer p) {
  IN_CONTEXT;
  auto it = allocations.find(p);
  if (it == allocations.end() || it->second.context != current) return refuse("cuMemFree: no such memory");
  if (needed(nullptr, p, it->second.bytes.size(), nullptr)) return refuse("cuMemFree: memory that something waits for");
  release(it);
  return Success;
}
API cuMemHostAlloc(void **p, size_t n, unsigned flags) {
  IN_CONTEXT;
  if (!p || n == 0 || flags) return InvalidValue;
  if (due("oom", count_allocations, current->device)) return OutOfMemory;
  const size_t pages = (n + kPage - 1) / kPage * kPage, mapped = pages + kPage;
  void *map = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return OutOfMemory;
  mprotect(static_cast<char *>(map) + pages, kPage, PROT_NONE);
  char *at = static_cast<char *>(map) + (pages - n) / 8 * 8;
  memset(at, 0xff, n);
  locked[at] = {current, n, map, mapped};
  *p = at;
  return Success;
}
API cuMemFreeHost(void *p) {
  IN_CONTEXT;
  auto it = locked.find(static_cast<char *>(p));
  if (it == locked.end()) return refuse("cuMemFreeHost: no such memory");
  if (needed(it->first, 0, it->second.size, nullptr)) return refuse("cuMemFreeHost: memory that a copy waits for");
  unlock(it);
  return Success;
}
API cuMemcpyHtoDAsync_v2(Pointer d, const char *s, size_t n, Stream *stream) {
  IN_CONTEXT;
  if (!live(stream)) return InvalidHandle;
  if (!find(d, n, current)) return InvalidValue;
  if (!is_locked(s, n)) return refuse("cuMemcpyHtoDAsync: memory that is not page-locked");
  beside(stream);
  const std::vector<char> then(s, s + n);
  const Context *c = current;
  return ask(stream, {s, d, n, nullptr, {}, [=] {
                        if (memcmp(s, then.data(), n)) return say("cuMemcpyHtoDAsync: what is copied has changed"), LaunchFailed;
                        memcpy(find(d, n, c), s, n);
                        return Success;
                      }});
}
API cuMemcpyDtoHAsync_v2(char *d, Pointer s, size_t n, Stream *stream) {
  IN_CONTEXT;
  if (!live(stream)) return InvalidHandle;
  if (!find(s, n, current)) return InvalidValue;
  if (!is_locked(d, n)) return refuse("cuMemcpyDtoHAsync: memory that is not page-locked");
  beside(stream);
  memset(d, 0xff, n);
  const Context *c = current;
  return ask(stream, {d, s, n, nullptr, {}, [=] { return memcpy(d, find(s, n, c), n), Success; }});
}
API cuMemsetD8Async(Pointer d, unsigned char v, size_t n, Stream *stream) {
  IN_CONTEXT;
  if (!live(stream)) return InvalidHandle;
  if (!find(d, n, current)) return InvalidValue;
  const Context *c = current;
  return ask(stream, {nullptr, d, n, nullptr, {}, [=] { return memset(find(d, n, c), v, n), Success; }});
}

// ---- streams
API cuStreamCreate(Stream **s, unsigned flags) {
  IN_CONTEXT;
  if (!s || flags != 1) return InvalidValue;  // NON_BLOCKING: others would wait for the null stream
  current->streams.insert(*s = new Stream{current, {}});
  return Success;
}
API cuStreamDestroy_v2(Stream *s) {
  IN_CONTEXT;
  if (!live(s)) return InvalidHandle;
  if (!s->waiting.empty()) return refuse("cuStreamDestroy: something waits in it");
  current->streams.erase(s);
  delete s;
  return Success;
}
API cuStreamSynchronize(Stream *s) {
  mutex.lock();
  const uint64_t pause = setting("pause", 0);
  mutex.unlock();
  usleep(pause);
  IN_CONTEXT;
  return live(s) ? finish(s) : InvalidHandle;
}

// ---- modules
API cuModuleLoadDataEx(Module **m, const void *image, unsigned n, const int *options, void **values) {
  IN_CONTEXT;
  if (!m || !image || (n && (!options || !values))) return InvalidValue;
  if (setting("version", 12040) < 10000) return UnsupportedPtxVersion;  // PTX 6.3 came with CUDA 10.0
  char *log = nullptr;
  size_t size = 0;
  for (unsigned i = 0; i < n; i++) {
    if (options[i] == 5) log = static_cast<char *>(values[i]);               // ERROR_LOG_BUFFER
    if (options[i] == 6) size = reinterpret_cast<uintptr_t>(values[i]) & 0xffffffff;  // its size, 32 bits
  }
  try {
    auto made = std::make_unique<Module>();
    made->context = current;
    made->code = ptx::assemble(static_cast<const char *>(image));
    if (!made->code->image.empty()) {
      if (int r = allocate(&made->global, made->code->image.size())) return r;
      memcpy(find(made->global, made->code->image.size(), current), made->code->image.data(), made->code->image.size());
    }
    for (auto &e : made->code->entries) made->functions[e.first] = {made.get(), &e.second};
    current->modules.insert(*m = made.release());
  } catch (ptx::Error &e) {
    if (log && size) snprintf(log, size, "ptxas application ptx input, %s", e.what());
    return InvalidPtx;
  }
  return Success;
}
API cuModuleUnload(Module *m) {
  IN_CONTEXT;
  if (!current->modules.count(m)) return InvalidHandle;
  if (needed(nullptr, 0, 0, m)) return refuse("cuModuleUnload: a launch waits");
  current->modules.erase(m);
  if (m->global) release(allocations.find(m->global));
  delete m;
  return Success;
}
API cuModuleGetFunction(Function **f, Module *m, const char *name) {
  IN_CONTEXT;
  if (!f || !name) return InvalidValue;
  if (!current->modules.count(m)) return InvalidHandle;
  auto it = m->functions.find(name);
  if (it == m->functions.end()) return NotFound;
  *f = &it->second;
  return Success;
}
static bool known(const Function *f) {
  for (Module *m : current->modules)
    for (auto &g : m->functions)
      if (&g.second == f) return true;
  return false;
}
API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, Function *f, int block, size_t) {
  IN_CONTEXT;
  if (!n || block < 1) return InvalidValue;
  if (!known(f)) return InvalidHandle;
  *n = kBlocks;
  return Success;
}
API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   Stream *stream, void **params, void **extra) {
  IN_CONTEXT;
  if (!known(f) || !live(stream)) return InvalidHandle;
  if (!gx || gy != 1 || gz != 1 || !bx || by != 1 || bz != 1 || shared || extra) return InvalidValue;
  if (bx > f->entry->max_threads) return InvalidValue;
  if (!params && !f->entry->params.empty()) return InvalidValue;
  if (due("launch", count_launches, current->device)) return LaunchOutOfResources;
  std::vector<uint64_t> values(f->entry->params.size());
  for (size_t i = 0; i < values.size(); i++) memcpy(&values[i], params[i], 8);
  const int device = current->device;
  return ask(stream, {nullptr, 0, 0, f->module, values, [=] {
                        const int fault = run(f, gx, bx, values);
                        if (setting("report", 0))
                          fprintf(stderr, "cudastandin: device %d: %s<<<%u, %u>>>: %d\n", device, f->entry->name.c_str(), gx, bx, fault);
                        return fault;
                      }});
}
