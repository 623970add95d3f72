// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"

namespace hwf {

class Fork final : public Module {
 public:
  Fork(const Params&, const Ports& in, const Ports& out) : in_(in[0]), out_(out), done_(out.size(), false) {}
  void valids() override {
    for (size_t i = 0; i < out_.size(); i++) out_[i]->valid = in_->valid && !done_[i];
  }
  void readies() override {
    in_->ready = true;
    for (size_t i = 0; i < out_.size(); i++) in_->ready &= done_[i] || out_[i]->ready;
  }
  void step() override {
    if (!in_->valid) return;
    for (size_t i = 0; i < out_.size(); i++) done_[i] = !in_->ready && (done_[i] || out_[i]->ready);
  }
  void save(State& state) const override { state.insert(state.end(), done_.begin(), done_.end()); }

 private:
  Stream* in_;
  Ports out_;
  std::vector<bool> done_;
};

inline const Registration kFork{"hwf_fork", make<Fork>()};

}  // namespace hwf
