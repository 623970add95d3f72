// SPDX-License-Identifier: Apache-2.0
//
// Verilator harness of an hwflow accelerator: frames in, codes out, cycle counts.
//
//   sim --in beats.bin --out beats.bin --report report.json --frames N --in-beats B --out-beats B
//       [--idle P] [--stall P] [--seed S] [--timeout CYCLES] [--drain CYCLES] [+hwf_tap=DIR]
//
// Beats are raw little-endian words of the port's whole bytes. --idle and --stall are the shares of cycles, in
// 1/1000, in which the source offers nothing and the sink takes nothing. --timeout bounds the cycles between two
// transfers: an accelerator that neither takes nor gives a beat for so long is reported as deadlocked (exit 3).
// --drain goes on after the last output, so that inner streams see the pixels of a frame that no output needs.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Options {
  std::string in, out, report;
  uint64_t frames = 0, in_beats = 0, out_beats = 0, timeout = 10'000'000, drain = 0, seed = 1;
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
    if (key == "--in") options.in = value;
    else if (key == "--out") options.out = value;
    else if (key == "--report") options.report = value;
    else if (key == "--frames") options.frames = std::stoull(value);
    else if (key == "--in-beats") options.in_beats = std::stoull(value);
    else if (key == "--out-beats") options.out_beats = std::stoull(value);
    else if (key == "--timeout") options.timeout = std::stoull(value);
    else if (key == "--drain") options.drain = std::stoull(value);
    else if (key == "--seed") options.seed = std::stoull(value);
    else if (key == "--idle") options.idle = static_cast<uint32_t>(std::stoul(value));
    else if (key == "--stall") options.stall = static_cast<uint32_t>(std::stoul(value));
    else fail("unknown option " + key);
  }
  if (options.in.empty() || options.out.empty() || options.frames == 0) fail("--in, --out and --frames are needed");
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

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  VerilatedContext context;
  context.commandArgs(argc, argv);
  Vtop top{&context};

  const std::vector<uint8_t> input = read_file(options.in);
  const uint64_t total_in = options.frames * options.in_beats;
  const uint64_t total_out = options.frames * options.out_beats;
  if (total_in == 0 || input.size() % total_in) fail("the input file is not a whole number of frames");
  const size_t in_bytes = input.size() / total_in;
  if (in_bytes > sizeof(top.s_axis_tdata)) fail("an input beat is wider than the port");

  std::FILE* out_file = std::fopen(options.out.c_str(), "wb");
  if (!out_file) fail("cannot write " + options.out);
  const size_t out_bytes = HWF_OUT_BYTES;
  std::vector<uint8_t> output;
  output.reserve(total_out * out_bytes);

  Random random{options.seed};
  std::vector<uint64_t> first_in(options.frames), first_out(options.frames), last_out(options.frames);
  uint64_t cycle = 0, sent = 0, received = 0, last_transfer = 0;
  bool offering = false, tlast_wrong = false;

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
  top.s_axis_tvalid = 0;
  top.m_axis_tready = 0;
  for (int i = 0; i < 4; i++) {
    settle();
    rise();
  }
  top.rst_ni = 1;

  // Processor time: the same on a busy machine.
  const std::clock_t begin = std::clock();
  while (received < total_out) {
    // A beat that is offered stays offered until it is taken.
    if (!offering && sent < total_in && !random.hit(options.idle)) {
      std::memcpy(&top.s_axis_tdata, input.data() + sent * in_bytes, in_bytes);
      offering = true;
    }
    top.s_axis_tvalid = offering;
    top.m_axis_tready = !random.hit(options.stall);
    settle();
    const bool in_taken = offering && top.s_axis_tready;
    const bool out_taken = top.m_axis_tvalid && top.m_axis_tready;
    if (out_taken) {
      const uint64_t frame = received / options.out_beats, beat = received % options.out_beats;
      const auto* data = reinterpret_cast<const uint8_t*>(&top.m_axis_tdata);
      output.insert(output.end(), data, data + out_bytes);
      if (beat == 0) first_out[frame] = cycle;
      if (beat == options.out_beats - 1) last_out[frame] = cycle;
      tlast_wrong |= (beat == options.out_beats - 1) != static_cast<bool>(top.m_axis_tlast);
      received++;
    }
    if (in_taken) {
      if (sent % options.in_beats == 0) first_in[sent / options.in_beats] = cycle;
      sent++;
      offering = false;
    }
    if (in_taken || out_taken) last_transfer = cycle;
    if (cycle - last_transfer > options.timeout) {
      std::fprintf(stderr, "error: deadlock: no transfer for %llu cycles after %llu input and %llu output beats\n",
                   static_cast<unsigned long long>(options.timeout), static_cast<unsigned long long>(sent),
                   static_cast<unsigned long long>(received));
      return 3;
    }
    rise();
    cycle++;
  }
  top.s_axis_tvalid = 0;
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  for (uint64_t i = 0; i < options.drain; i++) {
    settle();
    rise();
  }
  top.final();

  std::fwrite(output.data(), 1, output.size(), out_file);
  if (std::fclose(out_file)) fail("cannot write " + options.out);
  if (tlast_wrong) fail("m_axis_tlast does not mark the last beat of each frame");

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
