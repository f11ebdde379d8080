# SPDX-License-Identifier: Apache-2.0
"""Shows that the laws catch what they are there for: each is held over a small tree with one fault in it."""
import tempfile
import unittest
from pathlib import Path

import gates
import layers
import length
import mirror
import prologue
import version

HEAD = "// SPDX-License-Identifier: Apache-2.0\n// A header of this test.\n#pragma once\n"


class Laws(unittest.TestCase):
    def tree(self, **files: str) -> Path:
        """A tree of headers (`core__a` is include/lierne/core/a.hpp) and other files given by path."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        for name, text in files.items():
            path = root / name if "." in name or "/" in name else root / "include" / "lierne" / (name.replace("__", "/") + ".hpp")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if "." in name or "/" in name else HEAD + text)
        return root

    def one(self, found: list[str], words: str) -> None:
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_layers_pass(self):
        root = self.tree(core__a="#include <vector>\n", tensor__t='#include <ATen/ATen.h>\n#include "lierne/core/a.hpp"\n',
                         nn__n='#include "lierne/tensor/t.hpp"\n', nn__kernel__k="#include <ATen/Parallel.h>\n",
                         models__m='#include "lierne/core/a.hpp"\n', lierne='#include "lierne/nn/n.hpp"\n')
        self.assertEqual(layers.violations(root), [])

    def test_layers_upward(self):
        root = self.tree(core__a='#include "lierne/spec/b.hpp"\n', spec__b="")
        self.one(layers.violations(root), "core/ may not see spec/")

    def test_layers_siblings(self):
        root = self.tree(nn__a='#  include "lierne/optim/b.hpp"\n', optim__b="")
        self.one(layers.violations(root), "nn/ may not see optim/")

    def test_layers_models_stand_beside_tensor(self):
        root = self.tree(models__a='#include "lierne/tensor/b.hpp"\n', tensor__b="")
        self.one(layers.violations(root), "models/ may not see tensor/")

    def test_layers_gates(self):
        for name, line, words in (("nn__a", "#include <ATen/core/Tensor.h>", "only tensor/ and */kernel/"),
                                  ("nn__a", '#include "c10/util/Half.h"', "only tensor/ and */kernel/"),
                                  ("parallel__a", "#include <torch/csrc/distributed/c10d/Store.hpp>", "only mesh/"),
                                  ("data__a", "#include <range/v3/view/take.hpp>", "not a dependency"),
                                  ("data__a", "#include <boost/regex.hpp>", "not a dependency"),
                                  ("nn__kernel__a", "#include <cuda_runtime.h>", "hold CUDA"),
                                  ("tensor__a", "#include <torch/nn/module.h>", "too heavy"),
                                  ("data__a", "#include <regex>", "too heavy")):
            with self.subTest(line):
                self.one(layers.violations(self.tree(**{name: line + "\n"})), words)

    def test_layers_torch_free_file_through_another(self):
        root = self.tree(checkpoint__safetensors_header='#include "lierne/tensor/t.hpp"\n', tensor__t="#include <ATen/ATen.h>\n")
        self.one(layers.violations(root), "reaches LibTorch")

    def test_layers_unknown(self):
        self.one(layers.violations(self.tree(extras__a="")), "no rank")
        self.one(layers.violations(self.tree(core__a='#include "lierne/core/gone.hpp"\n')), "does not exist")

    def test_gates(self):
        text = "// at::empty is named in a comment\nchar const* c10 = \"c10::Half\";\n"
        self.assertEqual(gates.violations(self.tree(nn__a=text)), [])
        self.one(gates.violations(self.tree(nn__a="inline auto f() { return at::empty({1}); }\n")), "reaches no <ATen/")
        root = self.tree(nn__a='#include "lierne/tensor/t.hpp"\nTensor f();\n', tensor__t="#include <ATen/core/Tensor.h>\n")
        self.assertEqual(gates.violations(root), [])
        root = self.tree(nn__a='#include "lierne/tensor/t.hpp"\nstruct F : Function<F> {};\n', tensor__t="#include <ATen/core/Tensor.h>\n")
        self.one(gates.violations(root), "reaches no <torch/csrc/autograd/")

    def test_mirror(self):
        root = self.tree(core__a="", core__core="")
        self.one(mirror.violations(root), "no test")
        test = {"core__a": "", "tests/core/a.cpp": '#include "lierne/core/a.hpp"\nstatic_assert(true);\n'}
        self.assertEqual(mirror.violations(self.tree(**test)), [])
        self.one(mirror.violations(self.tree(**test | {"tests/core/a.cpp": "static_assert(true);\n"})), "first include")
        later = '#include <vector>\n#include "lierne/core/a.hpp"\nstatic_assert(true);\n'
        self.one(mirror.violations(self.tree(**test | {"tests/core/a.cpp": later})), "first include")
        self.one(mirror.violations(self.tree(**test | {"tests/core/a.cpp": '#include "lierne/core/a.hpp"\n'})), "tests nothing")

    def test_length(self):
        self.assertEqual(length.violations(self.tree(core__a="\n" * 397)), [])
        self.one(length.violations(self.tree(core__a="\n" * 398)), "401 lines")

    def test_prologue(self):
        self.assertEqual(prologue.violations(self.tree(core__a="")), [])
        self.one(prologue.violations(self.tree(**{"tests/a.py": "import sys\n"})), "line 1")
        self.one(prologue.violations(self.tree(**{"script/a": "#!/bin/bash\nset -e\n"})), "line 2")
        self.one(prologue.violations(self.tree(**{"include/lierne/a.hpp": HEAD.replace("#pragma once", "")})), "pragma")
        self.one(prologue.violations(self.tree(**{"include/lierne/a.hpp": HEAD.replace("// A header of this test.", "//")})), "sentence")

    def test_version(self):
        files = {"CMakeLists.txt": "project(lierne VERSION 1.2.3 LANGUAGES CXX)\n", "CHANGELOG.md": "## [1.2.3]\n",
                 "include/lierne/version.hpp": 'inline constexpr Version version{1, 2, 3, "1.2.3"};\n'}
        self.assertEqual(version.violations(self.tree(**files)), [])
        for text in ('version{1, 2, 4, "1.2.3"}', 'version{1, 2, 3, "1.2.4"}'):
            self.one(version.violations(self.tree(**files | {"include/lierne/version.hpp": f"Version {text};\n"})), "says 1.2.3")
        self.one(version.violations(self.tree(**files | {"CHANGELOG.md": "## [1.2.2]\n"})), "neither")


if __name__ == "__main__":
    unittest.main(verbosity=0)
