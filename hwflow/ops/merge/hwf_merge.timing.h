// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"

namespace hwf {

class Merge final : public Module {
 public:
  Merge(const Params&, const Ports& in, const Ports& out) : a_(in[0]), b_(in[1]), out_(out[0]) {}
  void valids() override { out_->valid = valid_; }
  void readies() override { a_->ready = b_->ready = (!valid_ || out_->ready) && a_->valid && b_->valid; }
  void step() override {
    if (!valid_ || out_->ready) valid_ = a_->valid && b_->valid;
  }
  void save(State& state) const override { state.push_back(valid_); }

 private:
  Stream *a_, *b_, *out_;
  bool valid_ = false;
};

inline const Registration kMerge{"hwf_merge", make<Merge>()};

}  // namespace hwf
