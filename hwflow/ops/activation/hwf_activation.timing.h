// SPDX-License-Identifier: Apache-2.0
//
// Activations, and all other layers that are a few register stages in the stream.

#pragma once

#include "engine.h"

namespace hwf {

inline const Registration kActivation{"hwf_activation", pipe<1>()};
inline const Registration kPiecewise{"hwf_piecewise", pipe<2>()};
inline const Registration kPrelu{"hwf_prelu", pipe<3>()};
inline const Registration kAffine{"hwf_affine", pipe<4>()};
inline const Registration kLookup{"hwf_lookup", [](const Params& p, const Ports& in, const Ports& out) {
                                    return std::make_unique<Pipe>(p("Direct", 1) ? 1 : 2, in[0], out[0]);
                                  }};

}  // namespace hwf
