// SPDX-License-Identifier: Apache-2.0
//
// Generated adder graphs: a window where there is one, and Stages registers.

#pragma once

#include "engine.h"
#include "hwf_window_parallel.timing.h"

namespace hwf {

// No register at all.
class Wires final : public Module {
 public:
  Wires(Stream* in, Stream* out) : in_(in), out_(out) {}
  void valids() override { out_->valid = in_->valid; }
  void readies() override { in_->ready = out_->ready; }
  void step() override {}
  void save(State&) const override {}

 private:
  Stream *in_, *out_;
};

class AdderGraph final : public Chain {
 public:
  AdderGraph(const Params& p, const Ports& in, const Ports& out) {
    Stream* x = in[0];
    if (p("InW", 0)) {
      x = link();
      add(std::make_unique<WindowParallel>(Geometry(p), 1, in[0], x));
    }
    if (const int64_t stages = p("Stages", 0)) add(std::make_unique<Pipe>(stages, x, out[0]));
    else add(std::make_unique<Wires>(x, out[0]));
  }
};

inline const Registration kAdderGraph{"hwf_da", make<AdderGraph>()};

}  // namespace hwf
