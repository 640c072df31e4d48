// A PTX interpreter: text in, threads stepped one instruction at a time.
//
// It knows the instructions in the table of ptx.cc, by their full names, and refuses all others, as it refuses a
// register of the wrong kind and a label that is missing: what it does not model it does not guess. Every register starts as
// not set, and reading one that is not set is an error where hardware would go on with garbage.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptx {

// Error is a text that does not assemble, or a fault of a running thread.
struct Error : std::runtime_error {
  using runtime_error::runtime_error;
};

// Address is a fault of memory: an address outside of every allocation, or misaligned.
struct AddressError : Error {
  using Error::Error;
};

enum Op : int;

// Instruction is decoded: operands are cells of a thread (registers, then constants).
struct Instruction {
  Op op;
  int round;        // rounding mode of fenv.h
  int compare;      // of setp
  bool ftz;         // subnormal f32 numbers count as zero
  int guard = -1;   // predicate cell, -1: none
  bool negated = false;
  int d = -1;       // cell of the result
  int s[3] = {-1, -1, -1};
  int64_t offset = 0;  // of a memory operand
  int target = -1;     // of a branch
  int line;
};

struct Variable {
  std::string name;
  uint64_t size, offset;  // bytes
};

// Entry is one kernel.
struct Entry {
  std::string name;
  std::vector<std::string> params;  // 64 bits each
  std::vector<Instruction> code;
  std::vector<uint64_t> constants;  // cells behind the registers
  std::vector<Variable> local;
  uint64_t local_size = 0;
  int registers = 0;
  unsigned max_threads = 1024;
};

struct Module {
  std::map<std::string, Entry> entries;
  std::vector<Variable> global;
  std::vector<uint8_t> image;  // initial contents of the globals
};

// assemble throws Error with the line where it fails.
std::unique_ptr<Module> assemble(const std::string &text);

// Memory finds the host's place for n bytes at a device address, or throws AddressError.
using Memory = std::function<void *(uint64_t address, size_t n)>;

// Launch is what all threads of a launch share.
struct Launch {
  const Entry *entry;
  std::vector<uint64_t> params;
  uint64_t global_base;  // device address of the module's globals
  uint32_t ntid, nctaid;
  Memory memory;
};

// Thread is one thread: its registers, local memory and place in the code.
class Thread {
 public:
  Thread(const Launch &launch, uint32_t cta, uint32_t tid);
  // run takes up to n instructions; it is false once the thread has ended.
  bool run(int n);

 private:
  uint64_t get(int cell);
  void set(int cell, uint64_t v) { cell_[cell] = v, known_[cell] = 1; }
  [[noreturn]] void fail(const Instruction &in, const std::string &what);
  uint8_t *local(const Instruction &in, uint64_t address, uint64_t n);

  const Launch &launch_;
  uint32_t cta_, tid_;
  std::vector<uint64_t> cell_;
  std::vector<uint8_t> known_, local_;
  int pc_ = 0;
};

}  // namespace ptx
