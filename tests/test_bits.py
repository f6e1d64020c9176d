"""The bits of initial weights and of evaluation are recorded, and are those of every machine."""

import os
import subprocess
import sys

import pytest

from tests import bits
from tests.conftest import ROOT


def test_the_bits_are_those_of_every_other_machine():
    assert bits.digests() == bits.DIGESTS


@pytest.mark.parametrize("instructions", bits.LEFT_OUT)
def test_the_bits_do_not_depend_on_the_instructions_that_numpy_takes(instructions):
    """In a process in which NumPy and its BLAS do as if this processor could do less."""
    changes = {"NPY_DISABLE_CPU_FEATURES": bits.LEFT_OUT[instructions], "OPENBLAS_CORETYPE": "Nehalem"}
    command = [sys.executable, "-m", "tests.bits", instructions]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | changes, capture_output=True, text=True)
    assert done.stdout.split() == [*bits.DIGESTS.values(), "0"], done.stderr
