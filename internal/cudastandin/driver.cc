// A stand-in for libcuda.so.1: the part of NVIDIA's driver interface that Invar uses, on the host. It shows that the host
// side calls the driver rightly and that the PTX computes what it should; it says nothing about a GPU's speed.
//
// Device memory starts as NaN and lies at addresses that mean nothing to the host, with gaps between allocations;
// every handle and every size is checked. A launch interprets the PTX that was loaded, its threads by turns. As
// with the real driver a fault of a kernel shows at the next call that waits for it, and the context is lost with it.
//
// The environment variable CUDASTANDIN, read at every call, holds settings with commas between them:
//
//   nodevice        there is a driver, but no device
//   version=N       version of the driver (default 12040)
//   devices=N       number of devices (default 1)
//   memory=N        bytes of device memory (default 1 GiB)
//   oom=K           the K-th allocation from now on finds no memory
//   launch=K        the K-th launch from now on fails
//   lost=K          the device is lost at the K-th launch from now on
//   order=backward  threads run in this order; also forward (the default) and shuffle
//   seed=N          of the shuffle
//   quiet           says nothing of a kernel's faults on standard error
//   report          prints one line a launch to standard error
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

struct Module;
struct Function {
  Module *module;
  const ptx::Entry *entry;
};
struct Context {
  int device;
  int fault = Success;  // of a launch: every later call returns it
  std::set<Module *> modules;
  std::set<void *> streams;
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

std::mutex mutex;
bool initialized;
std::set<Context *> contexts;
thread_local Context *current;
std::map<Pointer, Allocation> allocations;
Pointer next_address = 0x7f0000000000;
uint64_t used, count_allocations, count_launches;
std::string settings;

// setting finds a setting; without a value it is 1, absent it is otherwise.
uint64_t setting(const char *name, uint64_t otherwise, std::string *text = nullptr) {
  const char *env = getenv("CUDASTANDIN");
  const std::string now = env ? env : "";
  if (now != settings) {
    settings = now;
    count_allocations = count_launches = 0;
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

// Call is a call in the current context: it holds the lock and finds out whether the context works.
struct Call {
  std::lock_guard<std::mutex> lock{mutex};
  int result = !initialized ? NotInitialized : !current ? InvalidContext : !contexts.count(current) ? ContextIsDestroyed : current->fault;
};
#define IN_CONTEXT \
  Call call;       \
  if (call.result) return call.result

// find is the host's place for n bytes at a device address, null if they are not inside one allocation.
uint8_t *find(Pointer p, size_t n) {
  auto it = allocations.upper_bound(p);
  if (it == allocations.begin()) return nullptr;
  --it;
  const uint64_t at = p - it->first;
  return at + n <= it->second.bytes.size() && at + n >= at ? it->second.bytes.data() + at : nullptr;
}

int allocate(Pointer *p, size_t n) {
  if (!p || n == 0) return InvalidValue;
  if (++count_allocations == setting("oom", 0) || used + n > setting("memory", 1ull << 30)) return OutOfMemory;
  *p = next_address;
  next_address += (n + 0x1ffff) / 0x10000 * 0x10000;  // at least 64 KiB apart, and aligned
  allocations[*p] = {current, std::vector<uint8_t>(n, 0xff)};
  used += n;
  return Success;
}

void release(std::map<Pointer, Allocation>::iterator it) {
  used -= it->second.bytes.size();
  allocations.erase(it);
}

int run(const Function *f, uint32_t grid, uint32_t block, void **params) {
  ptx::Launch launch{f->entry, {}, f->module->global, block, grid, nullptr};
  for (size_t i = 0; i < f->entry->params.size(); i++) {
    uint64_t v;
    memcpy(&v, params[i], 8);
    launch.params.push_back(v);
  }
  Pointer last = 0;
  Allocation *in = nullptr;
  launch.memory = [&](uint64_t p, size_t n) -> void * {
    if (!in || p < last || p - last + n > in->bytes.size()) {
      if (!find(p, n)) throw ptx::AddressError("address outside of every allocation");
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
  uint64_t random = 0x9e3779b97f4a7c15 * (setting("seed", 1) + 1), left = kInstructionLimit;
  auto draw = [&] { return random ^= random << 13, random ^= random >> 7, random ^= random << 17; };
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
    if (!setting("quiet", 0)) fprintf(stderr, "cudastandin: %s: %s\n", f->entry->name.c_str(), e.what());
    return dynamic_cast<ptx::AddressError *>(&e) ? IllegalAddress : LaunchFailed;
  }
  return Success;
}

// live finds out whether a stream is one of this context; the null stream always is.
bool live(void *stream) { return !stream || current->streams.count(stream); }

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
API cuDeviceTotalMem_v2(size_t *n, int) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!initialized) return NotInitialized;
  *n = setting("memory", 1ull << 30);
  return Success;
}
API cuDeviceGetAttribute(int *v, int attribute, int) {
  if (!initialized) return NotInitialized;
  switch (attribute) {
    case 16: *v = kMultiprocessors; break;  // MULTIPROCESSOR_COUNT
    case 75: *v = 7; break;                 // COMPUTE_CAPABILITY_MAJOR
    case 76: *v = 0; break;                 // COMPUTE_CAPABILITY_MINOR
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
  if (!contexts.erase(c)) return InvalidContext;
  for (auto it = allocations.begin(); it != allocations.end();) {
    auto at = it++;
    if (at->second.context == c) release(at);
  }
  for (Module *m : c->modules) delete m;
  if (current == c) current = nullptr;
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
API cuCtxGetCurrent(Context **c) {
  *c = current;
  return Success;
}
API cuCtxSynchronize() {
  IN_CONTEXT;
  return Success;
}

// ---- memory
API cuMemGetInfo_v2(size_t *free, size_t *total) {
  IN_CONTEXT;
  if (!free || !total) return InvalidValue;
  *total = setting("memory", 1ull << 30);
  *free = *total > used ? *total - used : 0;
  return Success;
}
API cuMemAlloc_v2(Pointer *p, size_t n) {
  IN_CONTEXT;
  return allocate(p, n);
}
API cuMemFree_v2(Pointer p) {
  IN_CONTEXT;
  auto it = allocations.find(p);
  if (it == allocations.end() || it->second.context != current) return InvalidValue;
  release(it);
  return Success;
}
static int copy_in(Pointer d, const void *s, size_t n) {
  uint8_t *p = find(d, n);
  if (!p || !s) return InvalidValue;
  memcpy(p, s, n);
  return Success;
}
static int copy_out(void *d, Pointer s, size_t n) {
  uint8_t *p = find(s, n);
  if (!p || !d) return InvalidValue;
  memcpy(d, p, n);
  return Success;
}
API cuMemcpyHtoD_v2(Pointer d, const void *s, size_t n) {
  IN_CONTEXT;
  return copy_in(d, s, n);
}
API cuMemcpyDtoH_v2(void *d, Pointer s, size_t n) {
  IN_CONTEXT;
  return copy_out(d, s, n);
}
API cuMemcpyHtoDAsync_v2(Pointer d, const void *s, size_t n, void *stream) {
  IN_CONTEXT;
  return live(stream) ? copy_in(d, s, n) : InvalidHandle;
}
API cuMemcpyDtoHAsync_v2(void *d, Pointer s, size_t n, void *stream) {
  IN_CONTEXT;
  return live(stream) ? copy_out(d, s, n) : InvalidHandle;
}
API cuMemsetD8_v2(Pointer d, unsigned char v, size_t n) {
  IN_CONTEXT;
  uint8_t *p = find(d, n);
  if (!p) return InvalidValue;
  memset(p, v, n);
  return Success;
}
API cuMemsetD8Async(Pointer d, unsigned char v, size_t n, void *stream) {
  IN_CONTEXT;
  uint8_t *p = find(d, n);
  if (!p) return InvalidValue;
  if (!live(stream)) return InvalidHandle;
  memset(p, v, n);
  return Success;
}

// ---- streams
API cuStreamCreate(void **s, unsigned flags) {
  IN_CONTEXT;
  if (!s || flags > 1) return InvalidValue;
  current->streams.insert(*s = malloc(1));
  return Success;
}
API cuStreamDestroy_v2(void *s) {
  IN_CONTEXT;
  if (!current->streams.erase(s)) return InvalidHandle;
  free(s);
  return Success;
}
API cuStreamSynchronize(void *s) {
  IN_CONTEXT;
  return live(s) ? Success : InvalidHandle;
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
      copy_in(made->global, made->code->image.data(), made->code->image.size());
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
  if (!current->modules.erase(m)) return InvalidHandle;
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
                   void *stream, void **params, void **extra) {
  IN_CONTEXT;
  if (!known(f) || !live(stream)) return InvalidHandle;
  if (!gx || gy != 1 || gz != 1 || !bx || by != 1 || bz != 1 || shared || extra) return InvalidValue;
  if (bx > f->entry->max_threads) return InvalidValue;
  if (!params && !f->entry->params.empty()) return InvalidValue;
  count_launches++;
  if (count_launches == setting("launch", 0)) return LaunchOutOfResources;
  if (count_launches == setting("lost", 0)) {
    current->fault = Unknown;
    return Success;  // as the real one: it shows at the next call
  }
  current->fault = run(f, gx, bx, params);
  if (setting("report", 0)) fprintf(stderr, "cudastandin: %s<<<%u, %u>>>: %d\n", f->entry->name.c_str(), gx, bx, current->fault);
  return Success;
}
