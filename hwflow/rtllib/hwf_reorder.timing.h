// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"

namespace hwf {

class Reorder final : public Module {
 public:
  Reorder(const Params& p, const Ports& in, const Ports& out) : in_(in[0]), out_(out[0]) {
    const int64_t in_lanes = p("InLanes", 1), lanes = p("Lanes", 1);
    block_words_ = p("Block", 4) / in_lanes;
    words_ = p("Words", 5);
    const int64_t s0 = p("Stride0", 0), s1 = p("Stride1", 0), s2 = p("Stride2", 1), s3 = p("Stride3", 2);
    for (int64_t a = 0; a < p("Size0", 1); a++) {
      for (int64_t b = 0; b < p("Size1", 1); b++) {
        for (int64_t c = 0; c < p("Size2", 2); c++) {
          for (int64_t d = 0; d < p("Size3", 2); d += lanes) {
            const int64_t value = a * s0 + b * s1 + c * s2 + (d + lanes - 1) * s3;
            needed_.push_back(static_cast<int32_t>(value / in_lanes));
          }
        }
      }
    }
  }
  void valids() override { out_->valid = valid_; }
  void readies() override { in_->ready = count_ < words_; }
  void step() override {
    const bool issue = needed_[place_] < count_ && (!valid_ || out_->ready);
    count_ += in_->moves();
    if (issue && ++place_ == needed_.size()) {
      place_ = 0;
      count_ -= block_words_;
    }
    valid_ = issue || (valid_ && !out_->ready);
  }
  void save(State& state) const override {
    state.insert(state.end(), {count_, static_cast<int64_t>(place_), valid_});
  }

 private:
  Stream *in_, *out_;
  int64_t block_words_, words_, count_ = 0;
  std::vector<int32_t> needed_;  // last word each beat reads
  size_t place_ = 0;
  bool valid_ = false;
};

inline const Registration kReorder{"hwf_reorder", make<Reorder>()};

}  // namespace hwf
