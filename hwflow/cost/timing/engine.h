// SPDX-License-Identifier: Apache-2.0
//
// Cycle-accurate model of an accelerator's handshakes: which beats move when, without the data.
//
// A module is a state machine between streams. In each cycle the valid signals settle from the inputs to the outputs
// of the accelerator, the ready signals the other way, then all state moves on. Each class stands for the SystemVerilog
// module of the same name and mirrors its control registers; a module's class lies in the header beside its source.

#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hwf {

struct Stream {
  bool valid = false, ready = false;
  bool moves() const { return valid && ready; }
};

using Ports = std::vector<Stream*>;
using State = std::vector<int64_t>;

[[noreturn]] inline void fail(const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  std::exit(2);
}

// Parameters of an instance, and the defaults of its module.
class Params {
 public:
  std::map<std::string, int64_t> values;
  int64_t operator()(const std::string& name, int64_t otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
};

class Module {
 public:
  virtual ~Module() = default;
  virtual void valids() = 0;                    // output valids from state and input valids
  virtual void readies() = 0;                   // input readies from state, output readies and input valids
  virtual void step() = 0;                      // the rising edge
  virtual void save(State& state) const = 0;    // all state, counters relative to each other
  virtual int64_t fill() const { return -1; }   // most beats held so far, of a FIFO
};

using Factory = std::function<std::unique_ptr<Module>(const Params&, const Ports&, const Ports&)>;

inline std::map<std::string, Factory>& factories() {
  static std::map<std::string, Factory> all;
  return all;
}

struct Registration {
  Registration(const std::string& name, Factory factory) { factories()[name] = std::move(factory); }
};

template <typename Kind>
Factory make() {
  return [](const Params& params, const Ports& in, const Ports& out) {
    return std::make_unique<Kind>(params, in, out);
  };
}

inline int64_t clog2(int64_t value) {
  int64_t bits = 0;
  while ((int64_t{1} << bits) < value) bits++;
  return bits;
}

// Register stages that move together and stop while the last one waits to be taken.
class Pipe final : public Module {
 public:
  Pipe(int64_t stages, Stream* in, Stream* out) : in_(in), out_(out), last_(uint64_t{1} << (stages - 1)) {}
  void valids() override { out_->valid = bits_ & last_; }
  void readies() override { in_->ready = !(bits_ & last_) || out_->ready; }
  void step() override {
    if (in_->ready) bits_ = ((bits_ & (last_ - 1)) << 1) | in_->valid;
  }
  void save(State& state) const override { state.push_back(static_cast<int64_t>(bits_)); }

 private:
  Stream *in_, *out_;
  uint64_t last_, bits_ = 0;
};

template <int64_t Stages>
Factory pipe() {
  return [](const Params&, const Ports& in, const Ports& out) {
    return std::make_unique<Pipe>(Stages, in[0], out[0]);
  };
}

// Modules in a row, with the streams between them.
class Chain : public Module {
 public:
  void valids() override {
    for (auto& part : parts_) part->valids();
  }
  void readies() override {
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) (*part)->readies();
  }
  void step() override {
    for (auto& part : parts_) part->step();
  }
  void save(State& state) const override {
    for (const auto& part : parts_) part->save(state);
  }

 protected:
  Stream* link() {
    links_.push_back(std::make_unique<Stream>());
    return links_.back().get();
  }
  void add(std::unique_ptr<Module> part) { parts_.push_back(std::move(part)); }

 private:
  std::vector<std::unique_ptr<Stream>> links_;
  std::vector<std::unique_ptr<Module>> parts_;
};

}  // namespace hwf
