// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"

namespace hwf {

inline const Registration kMinifloat{"hwf_minifloat", pipe<3>()};

}  // namespace hwf
