#include "ptx.h"

#include <algorithm>
#include <cctype>
#include <cfenv>
#include <cmath>
#include <cstring>

namespace ptx {

enum Op : int {
  Add, Sub, Mul, Div, Sqrt, Fma, Neg, Abs, RoundInt, FloatFromS64,
  AddF, SubF, MulF, DivF, SqrtF, FmaF, NegF, AbsF, RoundIntF, WidenF, NarrowF,
  AddL, SubL, MadLoL, MinU, MinS, MaxU, MaxS, AndL, OrL, XorL, ShlL, ShrU, ShrS,
  AddW, SubW, MulLoW, MadLoW, MulWideU, MulWideS, MadWideU, MadWideS,
  LowWord, WidenU, WidenS,
  AndP, OrP, XorP, NotP,
  Move, Select, SetD, SetF, SetS64, SetU64, SetS32, SetU32,
  MoveGlobal, LoadParam, LoadGlobal, StoreGlobal, LoadLocal, StoreLocal,
  LoadGlobal4, StoreGlobal4, LoadLocal4, StoreLocal4, AtomicAdd,
  Branch, Return,
};

namespace {

enum Compare { Lt, Le, Eq, Ne, Gt, Ge, Ltu, Leu, Equ, Neu, Gtu, Geu };

// Row is an instruction by its full name. The signature has a letter an operand, the result first: d f64, l 64 bits,
// x either, f f32, w 32 bits, y either, p predicate, m memory, M memory that is written, s special register or
// constant, v variable, b label.
struct Row {
  Op op;
  std::string signature;
  int mode = 0;  // rounding or comparison
  bool ftz = false;  // subnormal f32 operands and results count as zero
};

std::map<std::string, Row> table() {
  std::map<std::string, Row> t;
  const std::pair<const char *, int> rounding[] = {{"n", FE_TONEAREST}, {"z", FE_TOWARDZERO}, {"m", FE_DOWNWARD}, {"p", FE_UPWARD}};
  for (auto &[r, mode] : rounding) {
    const std::string s = std::string(".r") + r + ".f64";
    t["add" + s] = {Add, "ddd", mode};
    t["sub" + s] = {Sub, "ddd", mode};
    t["mul" + s] = {Mul, "ddd", mode};
    t["div" + s] = {Div, "ddd", mode};
    t["sqrt" + s] = {Sqrt, "dd", mode};
    t["fma" + s] = {Fma, "dddd", mode};
    t["cvt.r" + std::string(r) + "i.f64.f64"] = {RoundInt, "dd", mode};
    t["cvt" + s + ".s64"] = {FloatFromS64, "dl", mode};
    for (const bool ftz : {false, true}) {
      const std::string rounds = ".r" + std::string(r), z = ftz ? ".ftz" : "", f = rounds + z + ".f32";
      t["add" + f] = {AddF, "fff", mode, ftz};
      t["sub" + f] = {SubF, "fff", mode, ftz};
      t["mul" + f] = {MulF, "fff", mode, ftz};
      t["div" + f] = {DivF, "fff", mode, ftz};
      t["sqrt" + f] = {SqrtF, "ff", mode, ftz};
      t["fma" + f] = {FmaF, "ffff", mode, ftz};
      t["cvt" + rounds + "i" + z + ".f32.f32"] = {RoundIntF, "ff", mode, ftz};
      t["cvt" + f + ".f64"] = {NarrowF, "fd", mode, ftz};
    }
  }
  t["neg.f64"] = {Neg, "dd"};
  t["abs.f64"] = {Abs, "dd"};
  for (const bool ftz : {false, true}) {
    const std::string f = ftz ? ".ftz" : "";
    t["neg" + f + ".f32"] = {NegF, "ff", 0, ftz};
    t["abs" + f + ".f32"] = {AbsF, "ff", 0, ftz};
    t["cvt" + f + ".f64.f32"] = {WidenF, "df", 0, ftz};
  }
  const char *names[] = {"lt", "le", "eq", "ne", "gt", "ge", "ltu", "leu", "equ", "neu", "gtu", "geu"};
  for (int c = Lt; c <= Geu; c++) {
    const std::string n = std::string("setp.") + names[c];
    t[n + ".f64"] = {SetD, "pdd", c};
    t[n + ".f32"] = {SetF, "pff", c};
    t[n + ".ftz.f32"] = {SetF, "pff", c, true};
    if (c > Ge) continue;
    t[n + ".s64"] = {SetS64, "pll", c};
    t[n + ".u64"] = {SetU64, "pll", c};
    t[n + ".s32"] = {SetS32, "pww", c};
    t[n + ".u32"] = {SetU32, "pww", c};
  }
  t["add.s64"] = {AddL, "lll"};
  t["sub.s64"] = {SubL, "lll"};
  t["mad.lo.s64"] = {MadLoL, "llll"};
  t["min.u64"] = {MinU, "lll"};
  t["min.s64"] = {MinS, "lll"};
  t["max.u64"] = {MaxU, "lll"};
  t["max.s64"] = {MaxS, "lll"};
  t["and.b64"] = {AndL, "lll"};
  t["or.b64"] = {OrL, "lll"};
  t["xor.b64"] = {XorL, "lll"};
  t["shl.b64"] = {ShlL, "llw"};
  t["shr.u64"] = {ShrU, "llw"};
  t["shr.s64"] = {ShrS, "llw"};
  t["add.s32"] = {AddW, "www"};
  t["sub.s32"] = {SubW, "www"};
  t["mul.lo.u32"] = {MulLoW, "www"};
  t["mad.lo.u32"] = t["mad.lo.s32"] = {MadLoW, "wwww"};
  t["mul.wide.u32"] = {MulWideU, "lww"};
  t["mul.wide.s32"] = {MulWideS, "lww"};
  t["mad.wide.u32"] = {MadWideU, "lwwl"};
  t["mad.wide.s32"] = {MadWideS, "lwwl"};
  t["cvt.u32.u64"] = {LowWord, "wl"};
  t["cvt.u64.u32"] = {WidenU, "lw"};
  t["cvt.s64.s32"] = {WidenS, "lw"};
  t["and.pred"] = {AndP, "ppp"};
  t["or.pred"] = {OrP, "ppp"};
  t["xor.pred"] = {XorP, "ppp"};
  t["not.pred"] = {NotP, "pp"};
  t["mov.b64"] = {Move, "xx"};
  t["mov.b32"] = {Move, "yy"};
  t["mov.f64"] = {Move, "dd"};
  t["mov.f32"] = {Move, "ff"};
  t["mov.pred"] = {Move, "pp"};
  t["mov.u64"] = {Move, "lv"};
  t["mov.u32"] = t["mov.s32"] = {Move, "ws"};
  t["selp.f64"] = {Select, "dddp"};
  t["selp.f32"] = {Select, "fffp"};
  t["selp.b64"] = {Select, "xxxp"};
  t["selp.b32"] = {Select, "wwwp"};
  t["ld.param.u64"] = {LoadParam, "lm"};
  t["ld.global.f32"] = {LoadGlobal4, "fm"};
  t["ld.global.f64"] = {LoadGlobal, "dm"};
  t["ld.global.u64"] = {LoadGlobal, "lm"};
  t["ld.local.f32"] = {LoadLocal4, "fm"};
  t["ld.local.f64"] = {LoadLocal, "dm"};
  t["st.global.f32"] = {StoreGlobal4, "Mf"};
  t["st.global.f64"] = {StoreGlobal, "Md"};
  t["st.global.u64"] = {StoreGlobal, "Ml"};
  t["st.local.f32"] = {StoreLocal4, "Mf"};
  t["st.local.f64"] = {StoreLocal, "Md"};
  t["atom.global.add.u64"] = {AtomicAdd, "lml"};
  t["bra"] = {Branch, "b"};
  t["ret"] = {Return, ""};
  return t;
}

// Local and module variables get addresses of their own, far from each other, so
// that one taken for the other is found out.
const uint64_t kLocalBase = 0x1000000;

enum Special { Tid, Ntid, Ctaid, Nctaid, kSpecials };
const char *const kSpecialNames[] = {"%tid.x", "%ntid.x", "%ctaid.x", "%nctaid.x"};

class Assembler {
 public:
  explicit Assembler(const std::string &text) : text_(text) {}

  std::unique_ptr<Module> run() {
    for (unsigned char c : text_)
      if (c > 126 || (c < 32 && !isspace(c))) fail("a character that is not ASCII");
    strip();
    while (next()) {
      if (word_ == ".version") {
        const std::string v = take();
        if (std::stod(v) > 9.9) fail("PTX version " + v + " is not supported");
        seen_version_ = true;
      } else if (word_ == ".target") {
        const std::string t = take();
        if (t.compare(0, 3, "sm_") != 0) fail("target " + t);
      } else if (word_ == ".address_size") {
        if (take() != "64") fail("address size");
      } else if (word_ == ".global") {
        global();
      } else if (word_ == ".visible") {
        if (take() != ".entry") fail("only entries may be visible");
        entry();
      } else {
        fail("unexpected " + word_);
      }
    }
    if (!seen_version_) fail("no .version");
    return std::move(module_);
  }

 private:
  [[noreturn]] void fail(const std::string &what) { throw Error("line " + std::to_string(line_) + "; " + what); }

  void strip() {  // comments become spaces
    for (size_t i = 0; i + 1 < text_.size(); i++)
      if (text_[i] == '/' && text_[i + 1] == '/')
        while (i < text_.size() && text_[i] != '\n') text_[i++] = ' ';
  }

  // next reads a word: a run of name characters, or one other character.
  bool next() {
    while (at_ < text_.size() && isspace((unsigned char)text_[at_])) line_ += text_[at_++] == '\n';
    word_.clear();
    if (at_ >= text_.size()) return false;
    auto name = [](char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '%' || c == '$'; };
    if (!name(text_[at_])) {
      word_ = text_[at_++];
      return true;
    }
    while (at_ < text_.size() && name(text_[at_])) word_ += text_[at_++];
    return true;
  }
  std::string take() {
    if (!next()) fail("the text ends too early");
    return word_;
  }
  void expect(const std::string &s) {
    if (take() != s) fail("expected " + s + ", found " + word_);
  }
  uint64_t number(const std::string &s) {
    try {
      size_t end;
      const bool real = (s.compare(0, 2, "0d") == 0 && s.size() == 18) || (s.compare(0, 2, "0f") == 0 && s.size() == 10);
      uint64_t v = real ? std::stoull(s.substr(2), &end, 16) : std::stoull(s, &end, 0);
      if (real) end += 2;
      if (end == s.size() && isdigit((unsigned char)s[0])) return v;
    } catch (std::logic_error &) {
    }
    fail("bad number " + s);
  }

  void global() {
    expect(".align");
    const uint64_t align = number(take());
    const std::string type = take();
    if (type != ".f64" && type != ".f32") fail("global variables of type " + type);
    const uint64_t each = type == ".f64" ? 8 : 4;
    if (align % each) fail("alignment");
    Variable v{take(), 0, 0};
    expect("[");
    v.size = each * number(take());
    expect("]");
    expect("=");
    expect("{");
    while (module_->image.size() % align) module_->image.push_back(0);
    v.offset = module_->image.size();
    for (uint64_t n = 0; n < v.size; n += each) {
      if (n) expect(",");
      if (take().compare(0, 2, each == 8 ? "0d" : "0f") != 0) fail("the number " + word_);
      const uint64_t bits = number(word_);
      const uint8_t *p = reinterpret_cast<const uint8_t *>(&bits);
      module_->image.insert(module_->image.end(), p, p + each);
    }
    expect("}");
    expect(";");
    module_->global.push_back(v);
  }

  void entry() {
    entry_ = Entry{};
    regs_.clear();
    labels_.clear();
    branches_.clear();
    entry_.name = take();
    expect("(");
    while (take() != ")") {
      if (word_ == ",") take();
      if (word_ != ".param") fail("expected .param, found " + word_);
      expect(".u64");
      entry_.params.push_back(take());
    }
    while (take() != "{") {
      if (word_ == ".maxntid") {
        entry_.max_threads = number(take());
        expect(",");
        entry_.max_threads *= number(take());
        expect(",");
        entry_.max_threads *= number(take());
      } else if (word_ == ".minnctapersm") {
        number(take());
      } else {
        fail("unexpected " + word_);
      }
    }
    // Declarations come first, so that the constants' cells can lie behind the registers'.
    for (; take() == ".reg" || word_ == ".local";) word_ == ".reg" ? reg() : local();
    first_constant_ = entry_.registers + kSpecials;
    for (; word_ != "}"; take()) statement();
    for (auto &[i, label] : branches_) {
      if (!labels_.count(label)) fail("label " + label + " is missing");
      entry_.code[i].target = labels_[label];
    }
    if (entry_.code.empty() || entry_.code.back().op != Return) fail("the entry does not end with ret");
    module_->entries[entry_.name] = entry_;
  }

  void reg() {
    const std::map<std::string, char> kinds = {{".f64", 'd'}, {".f32", 'f'}, {".b64", 'l'}, {".pred", 'p'}, {".b32", 'w'}};
    auto k = kinds.find(take());
    if (k == kinds.end()) fail("register class " + word_);
    const std::string prefix = take();
    expect("<");
    const uint64_t n = number(take());
    expect(">");
    expect(";");
    for (uint64_t i = 0; i < n; i++) {
      if (!regs_.insert({prefix + std::to_string(i), {k->second, entry_.registers++}}).second) fail("register " + prefix + " declared twice");
    }
  }

  void local() {
    expect(".align");
    if (number(take()) != 8) fail("alignment");
    expect(".b8");
    Variable v{take(), 0, entry_.local_size + 64};  // a gap on either side
    expect("[");
    v.size = number(take());
    expect("]");
    expect(";");
    entry_.local_size = (v.offset + v.size + 7) / 8 * 8;
    entry_.local.push_back(v);
  }

  int constant(uint64_t v) {
    entry_.constants.push_back(v);
    return first_constant_ + int(entry_.constants.size()) - 1;
  }

  int reg_of(const std::string &name, char kind) {
    auto r = regs_.find(name);
    if (r == regs_.end()) fail("unknown register " + name);
    const char k = r->second.first;
    if (k != kind && !(kind == 'x' && (k == 'd' || k == 'l')) && !(kind == 'y' && (k == 'f' || k == 'w'))) fail("register " + name + " is of the wrong kind here");
    return r->second.second;
  }

  // value reads an operand that is read: a register, or a constant where the kind has one.
  int value(char kind) {
    std::string s = take();
    if (s[0] == '%') {
      for (int i = 0; i < kSpecials; i++)
        if (kind == 's' && s == kSpecialNames[i]) return entry_.registers + i;
      return reg_of(s, kind == 's' ? 'w' : kind == 'v' ? 'l' : kind);
    }
    if (kind == 'p') fail("a predicate has no constants");
    if (kind == 'v' || kind == 'm') {
      for (auto &v : entry_.local)
        if (v.name == s) return constant(kLocalBase + v.offset);
      for (auto &v : module_->global)
        if (v.name == s) {
          global_ = true;
          return constant(v.offset);
        }
      if (kind == 'm') fail("unknown variable " + s);
    }
    const bool negative = s == "-";
    if (negative) s = take();
    const bool f64 = s.compare(0, 2, "0d") == 0, f32 = s.compare(0, 2, "0f") == 0;
    if (kind == 'd' && !f64) fail("an f64 operand " + s);
    if (kind == 'f' && !f32) fail("an f32 operand " + s);
    if ((f64 && kind != 'd' && kind != 'x') || (f32 && kind != 'f' && kind != 'y')) fail("an integer operand " + s);
    const uint64_t v = number(s);
    return constant(negative ? -v : v);
  }

  // memory reads [base+offset]; offset may be absent or negative.
  void memory(Instruction &in, int &base, bool param) {
    expect("[");
    if (param) {
      const std::string p = take();
      size_t i = 0;
      while (i < entry_.params.size() && entry_.params[i] != p) i++;
      if (i == entry_.params.size()) fail("unknown parameter " + p);
      in.offset = i;
      base = constant(0);
    } else {
      base = value(peek() == '%' ? 'l' : 'm');
      if (global_) fail("a global variable is addressed through a register");
      if (take() == "+") {
        const bool negative = take() == "-";
        if (negative) take();
        in.offset = number(word_);
        if (negative) in.offset = -in.offset;
        take();
      }
      if (word_ != "]") fail("expected ], found " + word_);
      return;
    }
    expect("]");
  }

  char peek() {
    size_t i = at_;
    while (i < text_.size() && isspace((unsigned char)text_[i])) i++;
    return i < text_.size() ? text_[i] : 0;
  }

  void statement() {
    static const std::map<std::string, Row> rows = table();
    if (peek() == ':') {
      if (!labels_.insert({word_, int(entry_.code.size())}).second) fail("label " + word_ + " is there twice");
      take();
      return;
    }
    Instruction in{};
    in.line = line_;
    if (word_ == "@") {
      if (peek() == '!') take(), in.negated = true;
      in.guard = reg_of(take(), 'p');
      take();
    }
    auto r = rows.find(word_);
    if (r == rows.end()) fail("unknown instruction " + word_);
    in.op = r->second.op;
    in.round = in.compare = r->second.mode;
    in.ftz = r->second.ftz;
    int n = 0;
    bool first = true;
    for (char kind : r->second.signature) {
      if (!first) expect(",");
      global_ = false;
      if (kind == 'b') {
        branches_.push_back({entry_.code.size(), take()});
      } else if (kind == 'm' || kind == 'M') {
        memory(in, in.s[n++], in.op == LoadParam);
      } else if (first) {
        in.d = reg_of(take(), kind);
      } else {
        in.s[n++] = value(kind);
        if (global_) in.op = MoveGlobal;
      }
      first = false;
    }
    expect(";");
    entry_.code.push_back(in);
  }

  std::string text_, word_;
  size_t at_ = 0;
  int line_ = 1;
  bool seen_version_ = false;
  bool global_ = false;  // the operand read last is an offset in the module's globals
  std::unique_ptr<Module> module_ = std::make_unique<Module>();
  Entry entry_;
  std::map<std::string, std::pair<char, int>> regs_;
  std::map<std::string, int> labels_;
  std::vector<std::pair<size_t, std::string>> branches_;
  int first_constant_ = 0;
};

}  // namespace

std::unique_ptr<Module> assemble(const std::string &text) { return Assembler(text).run(); }

Thread::Thread(const Launch &launch, uint32_t cta, uint32_t tid) : launch_(launch), cta_(cta), tid_(tid) {
  const Entry &e = *launch.entry;
  const size_t fixed = e.registers + kSpecials;
  cell_.resize(fixed + e.constants.size());
  known_.resize(cell_.size());
  set(e.registers + Tid, tid);
  set(e.registers + Ntid, launch.ntid);
  set(e.registers + Ctaid, cta);
  set(e.registers + Nctaid, launch.nctaid);
  for (size_t i = 0; i < e.constants.size(); i++) set(fixed + i, e.constants[i]);
  local_.assign(e.local_size, 0xff);  // NaN
}

void Thread::fail(const Instruction &in, const std::string &what) {
  throw Error("line " + std::to_string(in.line) + ", block " + std::to_string(cta_) + ", thread " + std::to_string(tid_) + ": " + what);
}

uint64_t Thread::get(int cell) {
  if (!known_[cell]) fail(launch_.entry->code[pc_ - 1], "reads a register that is not set");
  return cell_[cell];
}

uint8_t *Thread::local(const Instruction &in, uint64_t address, uint64_t n) {
  const uint64_t at = address - kLocalBase;
  for (auto &v : launch_.entry->local)
    if (at >= v.offset && at + n <= v.offset + v.size && at % n == 0) return local_.data() + at;
  throw AddressError("line " + std::to_string(in.line) + ": local address outside of its array");
}

namespace {

double real(uint64_t u) {
  double d;
  memcpy(&d, &u, 8);
  return d;
}

// bits gives a NaN the bits that NVIDIA's GPUs give it: no program may depend on them.
uint64_t bits(double d) {
  if (d != d) return 0x7fffffffffffffff;
  uint64_t u;
  memcpy(&u, &d, 8);
  return u;
}

float single(uint64_t u) {
  const uint32_t low = uint32_t(u);
  float f;
  memcpy(&f, &low, 4);
  return f;
}

uint64_t bits(float f) {
  if (f != f) return 0x7fffffff;
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
}

// flushed is what instructions with .ftz take a subnormal number for: zero with its sign.
uint64_t flushed(uint64_t u) { return u & 0x7f800000 ? u : u & 0x80000000; }

template <class T>
bool compare(int c, T a, T b) {
  const bool unordered = !(a == a && b == b);
  switch (c) {
    case Lt: return a < b;
    case Le: return a <= b;
    case Eq: return a == b;
    case Ne: return !unordered && a != b;
    case Gt: return a > b;
    case Ge: return a >= b;
    case Ltu: return unordered || a < b;
    case Leu: return unordered || a <= b;
    case Equ: return unordered || a == b;
    case Neu: return unordered || a != b;
    case Gtu: return unordered || a > b;
    case Geu: return unordered || a >= b;
  }
  throw Error("comparison");
}

// Rounded sets a rounding mode for one operation.
struct Rounded {
  explicit Rounded(int mode) : changed(mode != FE_TONEAREST) {
    if (changed) fesetround(mode);
  }
  ~Rounded() {
    if (changed) fesetround(FE_TONEAREST);
  }
  bool changed;
};

}  // namespace

bool Thread::run(int n) {
  const std::vector<Instruction> &code = launch_.entry->code;
  for (; n > 0; n--) {
    const Instruction &in = code[pc_++];
    if (in.guard >= 0 && (get(in.guard) != 0) == in.negated) continue;
    switch (in.op) {
      case Branch: pc_ = in.target; continue;
      case Return: return false;
      default: break;
    }
    const uint64_t a = in.s[0] >= 0 ? get(in.s[0]) : 0, b = in.s[1] >= 0 ? get(in.s[1]) : 0, c = in.s[2] >= 0 ? get(in.s[2]) : 0;
    volatile double x = real(a), y = real(b), z = real(c);  // volatile: not moved over a change of rounding
    volatile float u = single(in.ftz ? flushed(a) : a), v = single(in.ftz ? flushed(b) : b), w = single(in.ftz ? flushed(c) : c);
    uint64_t r = 0;
    switch (in.op) {
#define REAL(expression) { Rounded mode(in.round); volatile double d = expression; r = bits(double(d)); break; }
#define SINGLE(expression) { Rounded mode(in.round); volatile float f = expression; r = bits(float(f)); if (in.ftz) r = flushed(r); break; }
      case Add: REAL(x + y)
      case Sub: REAL(x - y)
      case Mul: REAL(x * y)
      case Div: REAL(x / y)
      case Sqrt: REAL(std::sqrt(double(x)))
      case Fma: REAL(std::fma(double(x), double(y), double(z)))
      case RoundInt: REAL(std::rint(double(x)))
      case FloatFromS64: REAL(double(int64_t(a)))
      case AddF: SINGLE(u + v)
      case SubF: SINGLE(u - v)
      case MulF: SINGLE(u * v)
      case DivF: SINGLE(u / v)
      case SqrtF: SINGLE(std::sqrt(float(u)))
      case FmaF: SINGLE(std::fma(float(u), float(v), float(w)))
      case RoundIntF: SINGLE(std::rint(float(u)))
      case NarrowF: SINGLE(float(x))
#undef REAL
#undef SINGLE
      case WidenF: r = bits(double(u)); break;
      case NegF: r = bits(float(u)) ^ 1u << 31; break;
      case AbsF: r = bits(float(u)) & ~(1u << 31); break;
      case Neg: r = a ^ 1ull << 63; break;
      case Abs: r = a & ~(1ull << 63); break;
      case AddL: r = a + b; break;
      case SubL: r = a - b; break;
      case MadLoL: r = a * b + c; break;
      case MinU: r = std::min(a, b); break;
      case MinS: r = std::min(int64_t(a), int64_t(b)); break;
      case MaxU: r = std::max(a, b); break;
      case MaxS: r = std::max(int64_t(a), int64_t(b)); break;
      case AndL: case AndP: r = a & b; break;
      case OrL: case OrP: r = a | b; break;
      case XorL: case XorP: r = a ^ b; break;
      case NotP: r = a ^ 1; break;
      case ShlL: r = uint32_t(b) > 63 ? 0 : a << b; break;
      case ShrU: r = uint32_t(b) > 63 ? 0 : a >> b; break;
      case ShrS: r = uint64_t(int64_t(a) >> std::min(uint32_t(b), 63u)); break;
      case AddW: r = uint32_t(a + b); break;
      case SubW: r = uint32_t(a - b); break;
      case MulLoW: r = uint32_t(a * b); break;
      case MadLoW: r = uint32_t(a * b + c); break;
      case MulWideU: r = uint64_t(uint32_t(a)) * uint32_t(b); break;
      case MulWideS: r = uint64_t(int64_t(int32_t(a)) * int32_t(b)); break;
      case MadWideU: r = uint64_t(uint32_t(a)) * uint32_t(b) + c; break;
      case MadWideS: r = uint64_t(int64_t(int32_t(a)) * int32_t(b)) + c; break;
      case LowWord: case WidenU: r = uint32_t(a); break;
      case WidenS: r = uint64_t(int64_t(int32_t(a))); break;
      case Move: r = a; break;
      case MoveGlobal: r = launch_.global_base + a; break;
      case Select: r = c ? a : b; break;
      case SetD: r = compare<double>(in.compare, x, y); break;
      case SetF: r = compare<float>(in.compare, u, v); break;
      case SetS64: r = compare<int64_t>(in.compare, a, b); break;
      case SetU64: r = compare<uint64_t>(in.compare, a, b); break;
      case SetS32: r = compare<int32_t>(in.compare, a, b); break;
      case SetU32: r = compare<uint32_t>(in.compare, a, b); break;
      case LoadParam: r = launch_.params[in.offset]; break;
      case LoadGlobal: memcpy(&r, launch_.memory(a + in.offset, 8), 8); break;
      case LoadLocal: memcpy(&r, local(in, a + in.offset, 8), 8); break;
      case LoadGlobal4: memcpy(&r, launch_.memory(a + in.offset, 4), 4); break;
      case LoadLocal4: memcpy(&r, local(in, a + in.offset, 4), 4); break;
      case StoreGlobal: memcpy(launch_.memory(a + in.offset, 8), &b, 8); continue;
      case StoreLocal: memcpy(local(in, a + in.offset, 8), &b, 8); continue;
      case StoreGlobal4: memcpy(launch_.memory(a + in.offset, 4), &b, 4); continue;
      case StoreLocal4: memcpy(local(in, a + in.offset, 4), &b, 4); continue;
      case AtomicAdd: {
        void *p = launch_.memory(a + in.offset, 8);
        memcpy(&r, p, 8);
        const uint64_t sum = r + b;
        memcpy(p, &sum, 8);
        break;
      }
      default: fail(in, "not modelled");
    }
    set(in.d, r);
  }
  return true;
}

}  // namespace ptx
