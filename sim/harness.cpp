// SPDX-License-Identifier: Apache-2.0
//
// Verilator harness of an hwflow accelerator: frames in, codes out, cycle counts.
//
//   sim --in beats.bin --in-beats B ... --out beats.bin --out-beats B ... --report report.json --frames N
//       [--idle P] [--stall P] [--seed S] [--timeout CYCLES] [--drain CYCLES] [+hwf_tap=DIR]
//
// --in with --in-beats, and --out with --out-beats, come once for each port, in the ports' order. Beats are raw
// little-endian words of the port's whole bytes. --idle and --stall are the shares of cycles, in 1/1000, in which
// each source offers nothing and each sink takes nothing. --timeout bounds the cycles between two transfers: an
// accelerator that neither takes nor gives a beat for so long is reported as deadlocked (exit 3). --drain goes on
// after the last output, so that inner streams see the pixels of a frame that no output needs.
//
// The ports are known when the harness is compiled, HWF_SOURCES=SOURCE(0,s_axis,4) or SOURCE(0,s_axis_0,4),SOURCE(...)
// and HWF_SINKS alike: position, prefix of the signals, bytes of a beat. One port then costs no loop.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <tuple>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Options {
  std::vector<std::string> in, out;
  std::vector<uint64_t> in_beats, out_beats;
  std::string report;
  uint64_t frames = 0, timeout = 10'000'000, drain = 0, seed = 1;
  uint32_t idle = 0, stall = 0;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string key = argv[i];
    if (key[0] == '+') continue;  // plusargs are Verilator's
    if (i + 1 >= argc) fail("option " + key + " needs a value");
    const std::string value = argv[++i];
    if (key == "--in") options.in.push_back(value);
    else if (key == "--out") options.out.push_back(value);
    else if (key == "--report") options.report = value;
    else if (key == "--frames") options.frames = std::stoull(value);
    else if (key == "--in-beats") options.in_beats.push_back(std::stoull(value));
    else if (key == "--out-beats") options.out_beats.push_back(std::stoull(value));
    else if (key == "--timeout") options.timeout = std::stoull(value);
    else if (key == "--drain") options.drain = std::stoull(value);
    else if (key == "--seed") options.seed = std::stoull(value);
    else if (key == "--idle") options.idle = static_cast<uint32_t>(std::stoul(value));
    else if (key == "--stall") options.stall = static_cast<uint32_t>(std::stoul(value));
    else fail("unknown option " + key);
  }
  if (options.frames == 0) fail("--frames is needed");
  return options;
}

// xorshift64* (Vigna 2016): stall patterns that are the same on every machine.
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15ull | 1) {}
  bool hit(uint32_t per_mille) {
    if (per_mille == 0) return false;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1Dull >> 32) % 1000 < per_mille;
  }
};

std::vector<uint8_t> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail("cannot read " + path);
  std::fseek(file, 0, SEEK_END);
  std::vector<uint8_t> bytes(static_cast<size_t>(std::ftell(file)));
  std::rewind(file);
  if (std::fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) fail("cannot read " + path);
  std::fclose(file);
  return bytes;
}

// Sends the beats of a file. A beat that is offered stays offered until it is taken.
template <size_t Bytes, typename Data, typename Valid, typename Ready>
struct Source {
  static_assert(Bytes <= sizeof(Data), "a beat is wider than the port");
  Data& tdata;
  Valid& tvalid;
  Ready& tready;
  uint64_t beats_per_frame, total;
  std::vector<uint8_t> beats;
  std::vector<uint64_t> first;  // cycle of each frame's first beat
  uint64_t sent = 0;
  bool offering = false;

  Source(Data& data, Valid& valid, Ready& ready, const Options& options, size_t port)
      : tdata(data), tvalid(valid), tready(ready), beats_per_frame(options.in_beats.at(port)),
        total(options.frames * beats_per_frame), beats(read_file(options.in.at(port))), first(options.frames) {
    if (total == 0 || beats.size() != total * Bytes) fail("the input file is not a whole number of frames");
    tvalid = 0;
  }
  void offer(Random& random, uint32_t idle) {
    if (!offering && sent < total && !random.hit(idle)) {
      std::memcpy(&tdata, beats.data() + sent * Bytes, Bytes);
      offering = true;
    }
    tvalid = offering;
  }
  bool transfer(uint64_t cycle) {
    if (!(offering && tready)) return false;
    if (sent % beats_per_frame == 0) first[sent / beats_per_frame] = cycle;
    sent++;
    offering = false;
    return true;
  }
};

// Takes the beats that go to a file.
template <size_t Bytes, typename Data, typename Valid, typename Ready, typename Last>
struct Sink {
  Data& tdata;
  Valid& tvalid;
  Ready& tready;
  Last& tlast;
  uint64_t beats_per_frame, total;
  std::string path;
  std::vector<uint8_t> beats;
  std::vector<uint64_t> first, last;  // cycles of each frame's first and last beat
  uint64_t received = 0;
  bool tlast_wrong = false, excess = false;

  Sink(Data& data, Valid& valid, Ready& ready, Last& end, const Options& options, size_t port)
      : tdata(data), tvalid(valid), tready(ready), tlast(end), beats_per_frame(options.out_beats.at(port)),
        total(options.frames * beats_per_frame), path(options.out.at(port)), first(options.frames),
        last(options.frames) {
    beats.reserve(total * Bytes);
    tready = 0;
  }
  void accept(Random& random, uint32_t stall) { tready = !random.hit(stall); }
  bool transfer(uint64_t cycle) {
    if (!(tvalid && tready)) return false;
    if (received == total) {  // seen where another port has not had all its beats yet
      excess = true;
      return false;
    }
    const uint64_t frame = received / beats_per_frame, beat = received % beats_per_frame;
    const auto* data = reinterpret_cast<const uint8_t*>(&tdata);
    beats.insert(beats.end(), data, data + Bytes);
    if (beat == 0) first[frame] = cycle;
    if (beat == beats_per_frame - 1) last[frame] = cycle;
    tlast_wrong |= (beat == beats_per_frame - 1) != static_cast<bool>(tlast);
    received++;
    return true;
  }
  void write() const {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (!file) fail("cannot write " + path);
    std::fwrite(beats.data(), 1, beats.size(), file);
    if (std::fclose(file)) fail("cannot write " + path);
    if (tlast_wrong) fail("tlast does not mark the last beat of each frame");
    if (excess) fail("an output gives more beats than its frames have");
  }
};

// For all ports, unrolled.
template <typename Ports, typename Action>
void each(Ports& ports, Action action) {
  std::apply([&](auto&... port) { (action(port), ...); }, ports);
}
template <typename Ports, typename Test>
bool any(Ports& ports, Test test) {
  return std::apply([&](auto&... port) { return (test(port) | ...); }, ports);
}

template <size_t Bytes, typename Data, typename Valid, typename Ready>
auto source(Data& data, Valid& valid, Ready& ready, const Options& options, size_t port) {
  return Source<Bytes, Data, Valid, Ready>(data, valid, ready, options, port);
}
template <size_t Bytes, typename Data, typename Valid, typename Ready, typename Last>
auto sink(Data& data, Valid& valid, Ready& ready, Last& last, const Options& options, size_t port) {
  return Sink<Bytes, Data, Valid, Ready, Last>(data, valid, ready, last, options, port);
}

}  // namespace

#define SOURCE(port, prefix, bytes) \
  source<bytes>(top.prefix##_tdata, top.prefix##_tvalid, top.prefix##_tready, options, port)
#define SINK(port, prefix, bytes) \
  sink<bytes>(top.prefix##_tdata, top.prefix##_tvalid, top.prefix##_tready, top.prefix##_tlast, options, port)

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  VerilatedContext context;
  context.commandArgs(argc, argv);
  Vtop top{&context};
  std::tuple sources{HWF_SOURCES};
  std::tuple sinks{HWF_SINKS};

  Random random{options.seed};
  uint64_t cycle = 0, last_transfer = 0;

  // One cycle: inputs settle while the clock is low, registers move on its rising edge.
  const auto settle = [&] {
    top.clk_i = 0;
    top.eval();
  };
  const auto rise = [&] {
    top.clk_i = 1;
    top.eval();
  };
  top.rst_ni = 0;
  for (int i = 0; i < 4; i++) {
    settle();
    rise();
  }
  top.rst_ni = 1;

  // Processor time: the same on a busy machine.
  const std::clock_t begin = std::clock();
  while (any(sinks, [](const auto& port) { return port.received < port.total; })) {
    each(sources, [&](auto& port) { port.offer(random, options.idle); });
    each(sinks, [&](auto& port) { port.accept(random, options.stall); });
    settle();
    const bool given = any(sinks, [&](auto& port) { return port.transfer(cycle); });
    const bool taken = any(sources, [&](auto& port) { return port.transfer(cycle); });
    if (given || taken) last_transfer = cycle;
    if (cycle - last_transfer > options.timeout) {
      uint64_t in = 0, out = 0;
      each(sources, [&](const auto& port) { in += port.sent; });
      each(sinks, [&](const auto& port) { out += port.received; });
      std::fprintf(stderr, "error: deadlock: no transfer for %llu cycles after %llu input and %llu output beats\n",
                   static_cast<unsigned long long>(options.timeout), static_cast<unsigned long long>(in),
                   static_cast<unsigned long long>(out));
      return 3;
    }
    rise();
    cycle++;
  }
  each(sources, [](auto& port) { port.tvalid = 0; });
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  for (uint64_t i = 0; i < options.drain; i++) {
    settle();
    rise();
  }
  top.final();
  each(sinks, [](const auto& port) { port.write(); });

  // A frame begins with the first beat of any input and ends with the last beat of every output.
  std::vector<uint64_t> first_in(options.frames, UINT64_MAX), first_out(options.frames, UINT64_MAX);
  std::vector<uint64_t> last_out(options.frames, 0);
  for (uint64_t frame = 0; frame < options.frames; frame++) {
    each(sources, [&](const auto& port) { first_in[frame] = std::min(first_in[frame], port.first[frame]); });
    each(sinks, [&](const auto& port) {
      first_out[frame] = std::min(first_out[frame], port.first[frame]);
      last_out[frame] = std::max(last_out[frame], port.last[frame]);
    });
  }
  std::FILE* report = std::fopen(options.report.c_str(), "w");
  if (!report) fail("cannot write " + options.report);
  std::fprintf(report, "{\"cycles\": %llu, \"seconds\": %.6f", static_cast<unsigned long long>(cycle), seconds);
  const auto list = [&](const char* name, const std::vector<uint64_t>& values) {
    std::fprintf(report, ", \"%s\": [", name);
    for (size_t i = 0; i < values.size(); i++)
      std::fprintf(report, "%s%llu", i ? ", " : "", static_cast<unsigned long long>(values[i]));
    std::fprintf(report, "]");
  };
  list("first_in", first_in);
  list("first_out", first_out);
  list("last_out", last_out);
  std::fprintf(report, "}\n");
  return std::fclose(report) ? 2 : 0;
}
