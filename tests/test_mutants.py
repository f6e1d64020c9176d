"""What is said of mutation testing holds: the list of equivalent mutants fits the code, and the count is right."""

import re
from pathlib import Path

import pytest

from tests import mutants
from tests.conftest import ROOT
from tests.mutants import Mutant

KNOWN = mutants.equivalent()


@pytest.mark.parametrize("mutant", KNOWN, ids=lambda mutant: mutant.function)
def test_an_equivalent_mutant_is_one_of_code_that_there_is_and_has_a_reason(mutant):
    parts = mutant.function.split(".")
    paths = [ROOT / Path(*parts[:end]).with_suffix(".py") for end in range(2, len(parts))]
    source = " ".join(line.strip() for path in paths if path.is_file() for line in path.read_text().splitlines())
    assert mutant.was in source and mutant.becomes != mutant.was and len(KNOWN[mutant]) > 10
    assert re.search(rf"def {parts[-1]}\(", source)


def test_mutants_that_nobody_noticed_are_listed_and_counted_but_for_equivalent_ones():
    plus = Mutant("m.f", "a + b", "a - b")
    found = [
        (plus, False), (Mutant("m.f", "a * b", "a / b"), True), (Mutant("m.f", "x", "y"), False),
        (Mutant("m.f", "f(a=False, b=False)", "f(a=False, b=None)"), False),
        (Mutant("m.f", "f(a=False, b=False)", "f(a=None, b=True)"), False),
        (Mutant("m.f", 'raise ValueError("x")', "raise ValueError(None)"), False),
        (Mutant("m.f", 'raise UserError("x")', "raise UserError(None)"), False),
        (Mutant("m.f", "a.astype(np.float64)", "a.astype(None)"), False),
    ]  # fmt: skip
    noticed, total, said = mutants.report("area", found, {Mutant("m.f", "x", "y"): "alike"})
    assert (noticed, total) == (1, 4)
    assert said.startswith("area: 1 of 4 are noticed (25.0%), 4 equivalent\n  m.f\n    - a + b\n    + a - b\n")
    assert "b=True" in said and "raise UserError(None)" in said and "ValueError" not in said and "astype" not in said


def test_a_mutant_is_described_by_its_function_and_its_statement():
    diff = "--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n def f():\n-    return g(\n-        1, 2\n-    )\n+    return g(\n+        1\n+    )\n"
    assert mutants.described("pkg.m.x_f__mutmut_3", diff) == Mutant("pkg.m.f", "return g( 1, 2 )", "return g( 1 )")
    assert mutants.described("pkg.m.xǁClassǁmethod__mutmut_12", diff).function == "pkg.m.Class.method"


def test_every_module_of_an_area_is_there_and_so_are_its_tests():
    for area in mutants.AREAS.values():
        assert all(list(ROOT.glob(pattern)) for pattern in area.code)
        assert all((ROOT / path).exists() for path in area.tests if path.startswith("tests/"))
