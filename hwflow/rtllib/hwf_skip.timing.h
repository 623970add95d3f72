// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"

namespace hwf {

class Skip final : public Module {
 public:
  Skip(const Params& p, const Ports& in, const Ports& out) : in_(in[0]), out_(out[0]) {
    const int64_t rows = p("InH", 8), cols = p("InW", 8), beats = p("Beats", 1);
    for (int64_t row = 0; row < rows; row++) {
      for (int64_t col = 0; col < cols; col++) {
        keep_.insert(keep_.end(), beats, stays(p, "H", row) && stays(p, "W", col));
      }
    }
  }
  void valids() override { out_->valid = in_->valid && keep_[beat_]; }
  void readies() override { in_->ready = !keep_[beat_] || out_->ready; }
  void step() override {
    if (in_->moves() && ++beat_ == keep_.size()) beat_ = 0;
  }
  void save(State& state) const override { state.push_back(static_cast<int64_t>(beat_)); }

 private:
  static bool stays(const Params& p, const std::string& axis, int64_t place) {
    const int64_t step = p("Step" + axis, 2);
    place += p("Offset" + axis, 0);
    return place % step < p("Keep" + axis, 1) && place / step < p("Count" + axis, 4);
  }

  Stream *in_, *out_;
  std::vector<bool> keep_;  // of each beat of a frame
  size_t beat_ = 0;
};

inline const Registration kSkip{"hwf_skip", make<Skip>()};

}  // namespace hwf
