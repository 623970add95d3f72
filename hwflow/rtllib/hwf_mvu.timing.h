// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"

namespace hwf {

class Mvu final : public Module {
 public:
  Mvu(const Params& p, int64_t synapse_folds, Stream* in, Stream* out)
      : in_(in), out_(out), synapse_folds_(synapse_folds), slots_(p("Pe", 1) / p("Lanes", 1)) {
    const int64_t pack = p("Pack", 1), chain = p("Chain", 1);
    const int64_t code = p("WeightCode", 0), block = p("RomBlock", 0);
    const bool codebook = code == 5, minifloat = code == 6, linked = pack > 1 || chain > 1;
    const bool digits = pack == 0 && (code == 0 || codebook || minifloat);
    const int64_t wait = codebook ? 1 + block : (block || digits);
    const int64_t last = wait + 1 + minifloat + (linked ? chain : 0) + clog2(p("Simd", 1) / chain);
    if (last > 62) fail("a matrix-vector unit has too many stages");
    last_ = uint64_t{1} << last;
  }
  void valids() override { out_->valid = held_ || out_valid_; }
  void readies() override {
    drained_ = busy_ && !held_ && slot_ == slots_ - 1;
    in_->ready = !(done_ && busy_ && !drained_);
  }
  void step() override {
    const bool enable = in_->ready, load = enable && done_;
    const bool held = out_->valid && !out_->ready;
    if (!held_) {
      out_valid_ = sum_valid_;
      sum_valid_ = pick_valid_;
      pick_valid_ = busy_;
      if (busy_) slot_ = slot_ == slots_ - 1 ? 0 : slot_ + 1;
    }
    held_ = held;
    busy_ = load || (busy_ && !drained_);
    if (enable) {
      const bool ends = in_->valid && synapse_ == synapse_folds_ - 1;
      if (in_->valid) synapse_ = ends ? 0 : synapse_ + 1;
      done_ = ends_ & last_;
      ends_ = ((ends_ & (last_ - 1)) << 1) | ends;
    }
  }
  void save(State& state) const override {
    state.insert(state.end(), {static_cast<int64_t>(ends_), synapse_, slot_, done_, busy_, pick_valid_, sum_valid_, out_valid_, held_});
  }

 private:
  Stream *in_, *out_;
  int64_t synapse_folds_, slots_;
  uint64_t last_, ends_ = 0;  // stages that hold the last word of a fold
  int64_t synapse_ = 0, slot_ = 0;
  bool done_ = false, busy_ = false, pick_valid_ = false, sum_valid_ = false, out_valid_ = false;
  bool held_ = false, drained_ = false;
};

}  // namespace hwf
