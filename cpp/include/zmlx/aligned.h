// Where factors of products begin.
#pragma once

#include "zmlx/types.h"

namespace zmlx {

// Gives a product on a GPU copies of those factors that may begin within 16 bytes.
void align_factors(const Array& product);

} // namespace zmlx
