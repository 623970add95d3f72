// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <numeric>

#include "engine.h"

namespace hwf {

class Dwc final : public Module {
 public:
  Dwc(int64_t in_lanes, int64_t out_lanes, Stream* in, Stream* out) : in_(in), out_(out) {
    const int64_t middle = std::lcm(in_lanes, out_lanes);
    up_ = middle / in_lanes;
    down_ = middle / out_lanes;
  }
  Dwc(const Params& p, const Ports& in, const Ports& out)
      : Dwc(p("InLanes", 1), p("OutLanes", 1), in[0], out[0]) {}
  void valids() override {
    mid_.valid = up_ == 1 ? in_->valid : fill_ == up_;
    out_->valid = down_ == 1 ? mid_.valid : left_ != 0;
  }
  void readies() override {
    mid_.ready = down_ == 1 ? out_->ready : left_ == 0 || (left_ == 1 && out_->ready);
    in_->ready = up_ == 1 ? mid_.ready : fill_ != up_ || mid_.ready;
  }
  void step() override {
    if (up_ != 1) {
      const bool full = fill_ == up_;
      if (in_->moves()) fill_ = full ? 1 : fill_ + 1;
      else if (full && mid_.ready) fill_ = 0;
    }
    if (down_ != 1) {
      if (mid_.moves()) left_ = down_;
      else if (out_->moves()) left_--;
    }
  }
  void save(State& state) const override { state.insert(state.end(), {fill_, left_}); }

 private:
  Stream *in_, *out_, mid_;
  int64_t up_, down_, fill_ = 0, left_ = 0;
};

inline const Registration kDwc{"hwf_dwc", make<Dwc>()};

}  // namespace hwf
