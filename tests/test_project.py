"""A project in an empty folder: `memory-trials init`, in a checkout and from the wheel."""

import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml

from memory_trials import project
from memory_trials.errors import UserError
from memory_trials.probe.trials import RECORDED
from tests.conftest import ROOT


def test_the_wheel_carries_the_files_that_a_project_begins_with():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    carried = {(folder, path.name) for folder, patterns in listed.items() for p in patterns for path in ROOT.glob(p)}
    wanted = set()
    for path in project.template():
        folder, _, name = path.rpartition("/")
        wanted.add((f"{project.SHARED}/{folder}".rstrip("/"), name))
    recorded = {
        (f"{project.SHARED}/{path.parent.relative_to(ROOT)}", path.name) for path in (ROOT / RECORDED).rglob("*.csv")
    }
    assert carried == wanted | recorded and len(wanted) > 10 and recorded  # those of the probe stay in the package


def test_a_project_is_made_whole(tmp_path):
    made = project.create(tmp_path / "new")
    assert {"params.yaml", "dvc.yaml", "my_cells/leaky.py", "experiments/studies.yaml"} <= set(made)
    assert (tmp_path / "new/params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    assert "no_scm = true" in (tmp_path / "new/.dvc/config").read_text()
    stages = yaml.safe_load((tmp_path / "new/dvc.yaml").read_text())["stages"]
    assert stages["code"]["always_changed"] and "deps" not in stages["code"]
    assert stages["train"] == yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]


def test_in_a_git_repository_dvc_uses_git_and_what_git_ignores_is_kept(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("mine")
    project.create(tmp_path)
    assert "no_scm" not in (tmp_path / ".dvc/config").read_text()
    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert ignored[0] == "mine" and "/.shards/" in ignored


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "dvc.yaml").write_text("mine")
    with pytest.raises(UserError, match=r"dvc\.yaml exists already: memory-trials init makes a project in an empty"):
        project.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.yaml"]
    (tmp_path / "dvc.yaml").rename(tmp_path / "params.yaml")
    with pytest.raises(UserError, match=f"inner is in the project {tmp_path}"):
        project.create(tmp_path / "inner")


def test_the_wheel_makes_a_project_whose_stages_run(tmp_path):
    source, wheels, empty = tmp_path / "source", tmp_path / "wheels", tmp_path / "empty"
    kept = ("memory_trials", "stages", "my_cells", "data/problems", ".dvc", ".gitignore", ".dvcignore", "params.yaml", "dvc.yaml",
            "experiments", "pyproject.toml", "requirements.in", "README.md", "LICENSE")  # fmt: skip
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *kept]
    # a copy, so that the build leaves nothing in the checkout
    for name in subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("experiments/data", "experiments/pictures")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run = lambda *words, **more: subprocess.run(
        [sys.executable, *words], check=True, capture_output=True, text=True, **more
    )
    build = "import setuptools.build_meta as build, sys; build.build_wheel(sys.argv[1])"
    wheels.mkdir()
    run("-c", build, str(wheels), cwd=source)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as packed:
        assert any(name.endswith("licenses/LICENSE") for name in packed.namelist())
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    run(*pip, "--target", str(tmp_path / "installed"), str(wheel))
    empty.mkdir()
    environment = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    run("-m", "memory_trials", "init", cwd=empty, env=environment)
    for stage in ("code", "generate_data", "encode"):
        run("-m", f"stages.{stage}", cwd=empty, env=environment)
    assert (empty / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    assert (empty / "data/tutorial/table.npz").exists()
    assert (empty / "data/tutorial/code/train.json").stat().st_size > 1000
