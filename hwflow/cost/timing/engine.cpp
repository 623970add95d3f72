// SPDX-License-Identifier: Apache-2.0
//
// Latency and initiation interval of an accelerator whose source always offers and whose sink always takes.
//
//   engine NETLIST FRAMES RESULT
//
// The netlist has a line an item, words separated by blanks:
//   input STREAM BEATS | output STREAM BEATS | module KIND LABEL NAME=VALUE… < STREAM… > STREAM…
// Modules come in the order of the dataflow. The result is a JSON file.
//
// Once the state at the end of a frame is one that was there before, what follows is known: frames are left out as long as
// the source has more to come, and the last ones are simulated to the end.

#include <algorithm>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "engine.h"
#include "modules.h"

namespace {

struct Port {
  hwf::Stream* stream;
  int64_t beats_per_frame, beats = 0, frames = 0;  // within the frame, whole frames
  bool pass() {
    if (!stream->moves()) return false;
    if (++beats == beats_per_frame) {
      beats = 0;
      frames++;
    }
    return true;
  }
};

struct Netlist {
  std::map<std::string, std::unique_ptr<hwf::Stream>> streams;
  std::vector<Port> inputs, outputs;
  std::vector<std::string> labels;
  std::vector<std::unique_ptr<hwf::Module>> modules;

  hwf::Stream* stream(const std::string& name) {
    auto& found = streams[name];
    if (!found) found = std::make_unique<hwf::Stream>();
    return found.get();
  }
};

void read_module(std::istringstream& line, Netlist& netlist) {
  std::string kind, label, word;
  line >> kind >> label;
  hwf::Params params;
  hwf::Ports in, out, *side = nullptr;
  while (line >> word) {
    if (word == "<") side = &in;
    else if (word == ">") side = &out;
    else if (side) side->push_back(netlist.stream(word));
    else params.values[word.substr(0, word.find('='))] = std::stoll(word.substr(word.find('=') + 1));
  }
  const auto factory = hwf::factories().find(kind);
  if (factory == hwf::factories().end()) hwf::fail("there is no timing model of module " + kind);
  netlist.labels.push_back(label);
  netlist.modules.push_back(factory->second(params, in, out));
}

Netlist read(const std::string& path) {
  Netlist netlist;
  std::ifstream file(path);
  if (!file) hwf::fail("cannot read " + path);
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string item, name;
    line >> item;
    if (item == "module") {
      read_module(line, netlist);
    } else {
      int64_t beats = 0;
      line >> name >> beats;
      (item == "input" ? netlist.inputs : netlist.outputs).push_back({netlist.stream(name), beats});
    }
  }
  return netlist;
}

uint64_t hash(const hwf::State& state) {
  uint64_t sum = 1469598103934665603u;
  for (const int64_t value : state) sum = (sum ^ static_cast<uint64_t>(value)) * 1099511628211u;
  return sum;
}

constexpr int64_t kSilence = 20'000'000;  // cycles without a transfer that are a deadlock

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) hwf::fail("usage: engine NETLIST FRAMES RESULT");
  Netlist net = read(argv[1]);
  const int64_t wanted = std::stoll(argv[2]);
  int64_t skipped = 0;  // frames left out
  int64_t cycle = 0, quiet_since = 0, first_in = -1, done = 0, latency = 0, interval = 0, last_end = 0;
  std::unordered_map<uint64_t, std::vector<std::pair<hwf::State, int64_t>>> seen;

  while (done + skipped < wanted) {
    for (auto& port : net.inputs) port.stream->valid = port.frames + skipped < wanted;
    for (auto& port : net.outputs) port.stream->ready = true;
    for (auto& module : net.modules) module->valids();
    for (auto module = net.modules.rbegin(); module != net.modules.rend(); ++module) (*module)->readies();
    bool moved = false;
    for (auto& port : net.inputs) {
      if (port.pass()) {
        moved = true;
        if (first_in < 0) first_in = cycle;
      }
    }
    for (auto& port : net.outputs) moved |= port.pass();
    if (moved) quiet_since = cycle;
    if (cycle - quiet_since > kSilence) hwf::fail("deadlock: no transfer after cycle " + std::to_string(quiet_since));
    for (auto& module : net.modules) module->step();

    int64_t whole = net.outputs[0].frames;
    for (const auto& port : net.outputs) whole = std::min(whole, port.frames);
    if (whole > done) {
      done = whole;
      if (done == 1) latency = cycle - first_in + 1;
      else interval = std::max(interval, cycle - last_end);
      last_end = cycle;
      int64_t sent = net.inputs[0].frames;
      for (const auto& port : net.inputs) sent = std::max(sent, port.frames);
      if (skipped == 0 && sent + 2 < wanted) {
        hwf::State state;
        for (const auto* side : {&net.inputs, &net.outputs}) {
          for (const auto& port : *side) {
            state.push_back(port.beats);
            state.push_back(port.frames - done);
          }
        }
        for (const auto& module : net.modules) module->save(state);
        auto& bucket = seen[hash(state)];
        for (const auto& [earlier, frame] : bucket) {
          if (earlier == state) {
            const int64_t period = done - frame;
            skipped = (wanted - sent - 2) / period * period;
            break;
          }
        }
        bucket.emplace_back(std::move(state), done);
      }
    }
    cycle++;
  }

  std::ofstream result(argv[3]);
  result << "{\"latency_cycles\": " << latency << ", \"ii_cycles\": ";
  if (wanted > 1) result << interval;
  else result << "null";
  result << ", \"cycles\": " << cycle << ", \"fill\": {";
  const char* separator = "";
  for (size_t i = 0; i < net.modules.size(); i++) {
    if (net.modules[i]->fill() < 0) continue;
    result << separator << '"' << net.labels[i] << "\": " << net.modules[i]->fill();
    separator = ", ";
  }
  result << "}}\n";
  if (!result.flush()) hwf::fail(std::string("cannot write ") + argv[3]);
}
