// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"
#include "hwf_merge.timing.h"

namespace hwf {

// Streams that take turns.
class Turns final : public Module {
 public:
  Turns(const Params& p, const Ports& in, const Ports& out)
      : in_(in), out_(out[0]), beats_{p("ABeats", 1), p("BBeats", 1)} {}
  void valids() override { out_->valid = valid_; }
  void readies() override {
    const bool ready = !valid_ || out_->ready;
    in_[turn_]->ready = ready;
    in_[1 - turn_]->ready = false;
  }
  void step() override {
    if (valid_ && !out_->ready) return;
    valid_ = in_[turn_]->valid;
    if (valid_ && ++beat_ == beats_[turn_]) {
      beat_ = 0;
      turn_ = 1 - turn_;
    }
  }
  void save(State& state) const override { state.insert(state.end(), {turn_, beat_, valid_}); }

 private:
  Ports in_;
  Stream* out_;
  int64_t beats_[2], turn_ = 0, beat_ = 0;
  bool valid_ = false;
};

inline const Registration kConcat{"hwf_concat", [](const Params& p, const Ports& in, const Ports& out) {
                                    // Side by side they join like the operands of a merge.
                                    return p("Joined", 0) ? make<Merge>()(p, in, out) : make<Turns>()(p, in, out);
                                  }};

}  // namespace hwf
