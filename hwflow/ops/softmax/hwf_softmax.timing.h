// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"
#include "hwf_fifo.timing.h"

namespace hwf {

// A FIFO inside a module, pushed and popped by its control.
struct Queue {
  explicit Queue(int64_t depth) : fifo(depth, &in, &out) {}
  void settle() {
    fifo.valids();
    fifo.readies();
  }
  Stream in, out;
  Fifo fifo;
};

class Argmax final : public Module {
 public:
  Argmax(const Params& p, const Ports& in, const Ports& out)
      : in_(in[0]), out_(out[0]), words_(p("Words", 4)), found_(2) {}
  void valids() override {
    found_.settle();
    out_->valid = found_.out.valid;
  }
  void readies() override { in_->ready = found_.in.ready; }
  void step() override {
    found_.in.valid = in_->valid && taken_ == words_ - 1;
    found_.out.ready = out_->ready && given_ == words_ - 1;
    found_.fifo.step();
    if (in_->moves()) taken_ = taken_ == words_ - 1 ? 0 : taken_ + 1;
    if (out_->moves()) given_ = given_ == words_ - 1 ? 0 : given_ + 1;
  }
  void save(State& state) const override {
    state.insert(state.end(), {taken_, given_});
    found_.fifo.save(state);
  }

 private:
  Stream *in_, *out_;
  int64_t words_, taken_ = 0, given_ = 0;
  Queue found_;
};

class Softmax final : public Module {
 public:
  Softmax(const Params& p, const Ports& in, const Ports& out)
      : in_(in[0]), out_(out[0]), words_(p("Words", 4)), stable_(p("Stable", 1)), data_(2 * words_ + 8), max_(8),
        e_(2 * words_ + 8), r_(8) {}
  void valids() override {
    for (Queue* queue : {&data_, &max_, &e_, &r_}) queue->settle();
    out_->valid = y_valid_;
  }
  void readies() override {
    y_enable_ = !y_valid_ || out_->ready;
    e_pop_ = e_.out.valid && r_.out.valid && y_enable_;
    sum_enable_ = !r_valid_ || r_.in.ready;
    enable_ = !e_valid_ || (e_.in.ready && (!e_last_ || sum_enable_));
    in_->ready = stable_ ? data_.in.ready && max_.in.ready : enable_;
  }
  void step() override {
    const bool take = in_->moves();
    bool x_valid = in_->valid, x_last = taken_ == words_ - 1;
    if (stable_) {
      x_valid = data_.out.valid && max_.out.valid;
      x_last = read_ == words_ - 1;
      const bool pop = x_valid && enable_;
      push(data_, take, pop);
      push(max_, take && taken_ == words_ - 1, pop && x_last);
      if (pop) read_ = x_last ? 0 : read_ + 1;
    }
    if (take) taken_ = taken_ == words_ - 1 ? 0 : taken_ + 1;

    const bool e_moves = enable_ && e_valid_, sum_begins = e_moves && e_last_;
    push(e_, e_moves, e_pop_);
    push(r_, r_valid_, e_pop_ && word_ == words_ - 1);
    if (sum_enable_) {
      r_valid_ = in_valid_;
      in_valid_ = acc_valid_;
      acc_valid_ = sum_valid_;
      sum_valid_ = sum_begins;
    }
    if (enable_) {
      e_valid_ = addr_valid_;
      e_last_ = addr_last_;
      addr_valid_ = x_valid;
      addr_last_ = x_last;
    }
    if (y_enable_) {
      y_valid_ = prod_valid_;
      prod_valid_ = e_pop_;
    }
    if (e_pop_) word_ = word_ == words_ - 1 ? 0 : word_ + 1;
  }
  void save(State& state) const override {
    for (const Queue* queue : {&data_, &max_, &e_, &r_}) queue->fifo.save(state);
    state.insert(state.end(), {taken_, read_, word_, addr_valid_, addr_last_, e_valid_, e_last_, sum_valid_, acc_valid_,
                               in_valid_, r_valid_, prod_valid_, y_valid_});
  }

 private:
  static void push(Queue& queue, bool offered, bool popped) {
    queue.in.valid = offered;
    queue.out.ready = popped;
    queue.fifo.step();
  }

  Stream *in_, *out_;
  int64_t words_;
  bool stable_;
  Queue data_, max_, e_, r_;
  int64_t taken_ = 0, read_ = 0, word_ = 0;
  bool addr_valid_ = false, addr_last_ = false, e_valid_ = false, e_last_ = false, sum_valid_ = false;
  bool acc_valid_ = false, in_valid_ = false, r_valid_ = false, prod_valid_ = false, y_valid_ = false;
  bool y_enable_ = false, e_pop_ = false, sum_enable_ = false, enable_ = false;
};

inline const Registration kArgmax{"hwf_argmax", make<Argmax>()};
inline const Registration kSoftmax{"hwf_softmax", make<Softmax>()};

}  // namespace hwf
