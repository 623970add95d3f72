// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>

#include "engine.h"

namespace hwf {

class Fifo final : public Module {
 public:
  Fifo(int64_t depth, Stream* in, Stream* out) : in_(in), out_(out), depth_(depth) {}
  Fifo(const Params& p, const Ports& in, const Ports& out) : Fifo(p("Depth", 2), in[0], out[0]) {}
  void valids() override { out_->valid = valid_; }
  void readies() override { in_->ready = count_ != depth_; }
  void step() override {
    const bool pop = count_ != 0 && (!valid_ || out_->ready);
    count_ += in_->moves() - pop;
    valid_ = pop || (valid_ && !out_->ready);
    most_ = std::max(most_, count_);
  }
  void save(State& state) const override { state.insert(state.end(), {count_, valid_}); }
  int64_t fill() const override { return most_; }

 private:
  Stream *in_, *out_;
  int64_t depth_, count_ = 0, most_ = 0;
  bool valid_ = false;
};

inline const Registration kFifo{"hwf_fifo", make<Fifo>()};

}  // namespace hwf
