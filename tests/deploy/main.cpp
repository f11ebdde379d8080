// SPDX-License-Identifier: Apache-2.0
// A consumer's program: one tensor, one gradient, one number to check.
#ifdef SMALL  // a few headers of the library instead of all
#include <lierne/core/error.hpp>
#include <lierne/tensor/operations.hpp>
#else
#include <lierne/lierne.hpp>
#include <lierne/tensor/operations.hpp>
#endif
#include <lierne/version.hpp>

#include <cstdio>

int main() {
  auto x = at::ones({3}, at::TensorOptions().dtype(lierne::float32)).requires_grad_();
  (x * x * 2).sum().backward();
  auto const slope = x.grad().sum().item<float>();
  lierne::check(slope == 12.0F, "the gradient of 2x^2 at three ones sums to 12, found ", slope);
  std::printf("lierne %s: gradient %g\n", lierne::version.text, slope);
}
